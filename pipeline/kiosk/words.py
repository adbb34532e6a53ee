"""Sentences of the kiosk's screens, Chinese and English. Those of a check are in `pipeline.reasons`."""

from __future__ import annotations

from typing import Final

from pipeline.errors import ClientCode

Words = tuple[str, str]
"""The same sentence in Chinese and in English."""

IDLE: Final[Words] = ("请看屏幕", "Please look at the screen")
IDLE_HINT: Final[Words] = (
    "检测将自动开始，无需点击。",
    "The check starts by itself. There is nothing to press.",
)
FLASH_HINT: Final[Words] = (
    "检测时屏幕会变换柔和的颜色。可随时按“停止”或 Esc 键，改到服务台办理。",
    "The screen will show soft changing colours. Press Stop or Esc at any time and go to the desk instead.",
)
NEXT: Final[Words] = ("谢谢", "Thank you")
NEXT_HINT: Final[Words] = ("请离开屏幕前，让下一位使用。", "Please step aside for the next person.")
FORM: Final[Words] = ("请输入身份信息", "Please enter your details")
FORM_WRONG: Final[Words] = (
    "姓名或证件号码不正确，请重新输入。",
    "The name or the certificate number is not valid. Please enter them again.",
)
FORM_CLOSED: Final[Words] = ("现在无法提交，请稍候。", "This can't be sent now. Please wait a moment.")
WAITING: Final[Words] = IDLE
WAITING_HINT: Final[Words] = ("看到人脸后自动开始。", "It starts as soon as your face is in view.")
CHECKING_HINT: Final[Words] = ("正在检测", "Checking")
VERIFYING: Final[Words] = ("正在核对身份", "Checking your identity")
VERIFYING_HINT: Final[Words] = ("请稍候，无需其他操作。", "One moment. You need not do anything.")
CAMERA: Final[Words] = ("摄像头暂时不可用", "The camera is not available")
CAMERA_HINT: Final[Words] = (
    "正在自动重新连接。请稍候，或前往服务台。",
    "It is being connected again. Please wait, or go to the desk.",
)
STOPPED: Final[Words] = ("暂停服务", "Out of service")
STOPPED_HINT: Final[Words] = ("请前往服务台。", "Please go to the desk.")
OTHER_PAGE: Final[Words] = ("已在另一个页面打开", "Already open on another page")
OTHER_PAGE_HINT: Final[Words] = (
    "关闭那个页面后，这里会自动开始。",
    "Close that page and this one starts by itself.",
)

CONSENT: Final[Words] = (
    "我同意采集一张我的面部照片，并与所填身份信息一起发送给认证服务，仅用于本次核验。",
    "I agree that one picture of my face is taken and sent, with my details, to the service, for this check.",
)

_NEXT_STEPS: Final[dict[ClientCode, Words]] = {
    ClientCode.PASSED: ("请继续。", "Please go ahead."),
    ClientCode.REJECTED: ("请前往服务台。", "Please go to the desk."),
    ClientCode.INTERRUPTED: (
        "可以再试一次，或前往服务台。",
        "You may try again, or go to the desk.",
    ),
    ClientCode.NETWORK_ERROR: ("请稍后再试，或前往服务台。", "Please try later, or go to the desk."),
    ClientCode.SYSTEM_ERROR: ("请前往服务台。", "Please go to the desk."),
}


def next_step(code: ClientCode) -> Words:
    """What the person does after a result."""
    return _NEXT_STEPS[code]
