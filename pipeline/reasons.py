"""Why a check is not passed yet, or failed: stable words, each with a sentence in Chinese and English."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A stable snake_case word. The value never changes; sentences may be reworded."""

    # guidance: the person can mend it
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_FAR = "too_far"
    TOO_NEAR = "too_near"
    OFF_CENTRE = "off_centre"
    LOOK_STRAIGHT = "look_straight"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    LOW_CONTRAST = "low_contrast"
    BLURRED = "blurred"
    EYES_CLOSED = "eyes_closed"
    FACE_COVERED = "face_covered"
    HOLD_STILL = "hold_still"
    # undecided
    UNDECIDED = "undecided"
    INTERRUPTED = "interrupted"
    SOURCE_LOST = "source_lost"
    FROZEN_SOURCE = "frozen_source"
    FACE_CHANGED = "face_changed"
    NO_FLASH_PROOF = "no_flash_proof"
    # rejected
    SPOOF = "spoof"
    SPOOF_SCREEN = "spoof_screen"
    SPOOF_PRINT = "spoof_print"
    INJECTED_SOURCE = "injected_source"
    NOT_SAME_PERSON = "not_same_person"
    IDENTITY_REFUSED = "identity_refused"
    # service and system
    QUOTA = "quota"
    NOT_PERMITTED = "not_permitted"
    BAD_REQUEST = "bad_request"
    NETWORK = "network"
    OUTCOME_UNKNOWN = "outcome_unknown"
    SERVICE_ERROR = "service_error"
    SYSTEM_ERROR = "system_error"

    @property
    def zh(self) -> str:
        """One Chinese sentence for the person at the camera."""
        return _SENTENCES[self][0]

    @property
    def en(self) -> str:
        """One English sentence for the person at the camera."""
        return _SENTENCES[self][1]


_SENTENCES: dict[Reason, tuple[str, str]] = {
    Reason.NO_FACE: ("请将脸部对准摄像头。", "Please look at the camera."),
    Reason.SEVERAL_FACES: ("画面中只能有一个人。", "Only one person may be in view."),
    Reason.TOO_FAR: ("请靠近一点。", "Please come closer."),
    Reason.TOO_NEAR: ("请离远一点。", "Please move back a little."),
    Reason.OFF_CENTRE: ("请将脸部移到画面中央。", "Please move your face to the middle of the picture."),
    Reason.LOOK_STRAIGHT: ("请正对屏幕。", "Please face the screen."),
    Reason.TOO_DARK: ("光线太暗，请到明亮处。", "It is too dark. Please find more light."),
    Reason.TOO_BRIGHT: ("光线太强，请避开强光。", "It is too bright. Please avoid strong light."),
    Reason.LOW_CONTRAST: (
        "画面不清晰，请擦拭镜头或调整光线。",
        "The picture is hazy. Please wipe the lens or change the light.",
    ),
    Reason.BLURRED: ("画面模糊，请保持不动。", "The picture is blurred. Please hold still."),
    Reason.EYES_CLOSED: ("请睁开眼睛。", "Please open your eyes."),
    Reason.FACE_COVERED: ("请勿遮挡脸部。", "Please uncover your face."),
    Reason.HOLD_STILL: ("请保持不动。", "Please hold still."),
    Reason.UNDECIDED: ("未能完成判断，请重试。", "No decision could be reached. Please try again."),
    Reason.INTERRUPTED: ("验证已中断，请重试。", "The check was interrupted. Please try again."),
    Reason.SOURCE_LOST: ("摄像头已断开，请检查连接。", "The camera was lost. Please check its connection."),
    Reason.FROZEN_SOURCE: (
        "摄像头画面静止，请检查设备。",
        "The camera's picture is frozen. Please check the device.",
    ),
    Reason.FACE_CHANGED: (
        "检测到人脸变化，请重新开始。",
        "The face changed during the check. Please start again.",
    ),
    Reason.NO_FLASH_PROOF: (
        "未能通过屏幕光线完成确认，请重试或选择其他方式。",
        "The screen's light could not confirm a face. Please try again or choose another way.",
    ),
    Reason.SPOOF: ("未通过活体检测。", "The liveness check was not passed."),
    Reason.SPOOF_SCREEN: (
        "未通过活体检测：检测到屏幕。",
        "The liveness check was not passed: a screen was seen.",
    ),
    Reason.SPOOF_PRINT: (
        "未通过活体检测：检测到照片。",
        "The liveness check was not passed: a print was seen.",
    ),
    Reason.INJECTED_SOURCE: (
        "图像来源不可信，无法进行实人认证。",
        "The picture source is not a trusted camera, so nobody can be verified with it.",
    ),
    Reason.NOT_SAME_PERSON: ("抱歉，没有认出您。", "Sorry, you were not recognised."),
    Reason.IDENTITY_REFUSED: (
        "用户身份信息无效，请填写正确的身份信息。",
        "The identity details are not valid. Please correct them.",
    ),
    Reason.QUOTA: ("请求过多，请稍后再试。", "Too many requests. Please try again later."),
    Reason.NOT_PERMITTED: ("服务未开通或已到期。", "The service is not open or has expired."),
    Reason.BAD_REQUEST: ("请求参数不合法。", "The request's parameters are not valid."),
    Reason.NETWORK: ("网络错误，请稍后再试。", "Network error. Please try again later."),
    Reason.OUTCOME_UNKNOWN: (
        "请求已发出但未收到结果，请先查询再重试。",
        "The request was sent and no answer came. Ask for the outcome before a second try.",
    ),
    Reason.SERVICE_ERROR: (
        "认证服务出错，请稍后再试。",
        "The verification service failed. Please try again later.",
    ),
    Reason.SYSTEM_ERROR: ("系统错误，请联系工作人员。", "System error. Please ask the staff."),
}
