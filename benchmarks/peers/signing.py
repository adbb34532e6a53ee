"""The service's own Python clients as signers: from a picture's bytes to a request that could be sent.

    PYTHON benchmarks/peers/signing.py JOB

A script for the environment of a client; it imports no livegate. Each client runs as its users call it; only
the function that would open the connection is replaced, and takes the finished request. JOB as in `worker`,
with ``shape`` (1, bytes): one JPEG.
"""

from __future__ import annotations

import base64
import contextlib
import json
import mmap

from loop import begin, serve

PERSON = ("张三", "33010320180101010X")


class SentError(Exception):
    """Raised where a request would have left."""


def parameters(jpeg):
    """Business parameters of a match: JSON text."""
    fields = {
        "method": "match",
        "name": PERSON[0],
        "certNumber": PERSON[1],
        "imgbase64": base64.b64encode(jpeg).decode("ascii"),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def core(jpeg):
    """``aliyun-python-sdk-core`` with the parameters in the form body; 65 KiB do not fit into a URL."""
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.http.http_response import HttpResponse
    from aliyunsdkcore.request import CommonRequest

    def stop(response):
        if not response.get_content():
            raise ValueError("no body was written")
        raise SentError

    HttpResponse.get_response_object = stop
    client = AcsClient("testid", "testsecret", "cn-shanghai", auto_retry=False)

    def step(index):
        request = CommonRequest(version="2017-03-31", action_name="ExecuteRequest", product="saf")
        request.set_method("POST")
        request.set_endpoint("service.invalid")
        request.add_body_params("Service", "face_verify")
        request.add_body_params("ServiceParameters", parameters(jpeg))
        try:
            client.do_action_with_exception(request)
        except SentError:
            return True
        return False

    return step


def tea(jpeg):
    """``alibabacloud-saf20170331``, the current client: RPC signature over the form body."""
    import alibabacloud_tea_openapi.client as base
    from alibabacloud_saf20170331.client import Client
    from alibabacloud_saf20170331.models import ExecuteRequestRequest
    from alibabacloud_tea_openapi import models as open_api
    from alibabacloud_tea_util.models import RuntimeOptions
    from darabonba.exceptions import UnretryableException

    sent = []

    def stop(request, runtime=None):
        sent.append(len(request.body))
        raise SentError

    base.DaraCore.do_action = staticmethod(stop)
    client = Client(
        open_api.Config(
            access_key_id="testid",
            access_key_secret="testsecret",
            region_id="cn-shanghai",
            endpoint="service.invalid",
        )
    )
    runtime = RuntimeOptions(autoretry=False)

    def step(index):
        fields = {"Service": "face_verify", "ServiceParameters": parameters(jpeg)}
        sent.clear()
        with contextlib.suppress(UnretryableException):  # it wraps what is raised inside
            client.execute_request_with_options(ExecuteRequestRequest().from_map(fields), runtime)
        return sum(sent) > len(jpeg)

    return step


CLIENTS = {
    "core": (core, ("aliyun-python-sdk-core",)),
    "tea": (tea, ("alibabacloud-saf20170331", "alibabacloud-tea-openapi")),
}


def main():
    """Load the client, then time blocks until standard input ends."""
    job, answers = begin()
    with mmap.mmap(job["fd"], job["shape"][1], access=mmap.ACCESS_READ) as memory:
        jpeg = bytes(memory)
    make, packages = CLIENTS[job["peer"]]
    serve(answers, make(jpeg), 1, packages)


if __name__ == "__main__":
    main()
