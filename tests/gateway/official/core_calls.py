"""Runs in the environment of `aliyun-python-sdk-core`: calls on standard input, answers on standard output.

Each call has key_id, secret, verb, form, place and service; each answer has raised, status and the body as it
came.
"""

import json
import sys
import warnings
from urllib.parse import urlsplit

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type
from aliyunsdkcore.request import CommonRequest
from aliyunsdksaf.request.v20170331.ExecuteRequestRequest import ExecuteRequestRequest


def saf_request(service):
    """The product's own request: everything in the query."""
    request = ExecuteRequestRequest()
    request.set_protocol_type(protocol_type.HTTP)
    request.set_Service("face_verify")
    request.set_ServiceParameters(service)
    return request


def body_request(service):
    """The core's request for any product, with the business parameters in the form body."""
    request = CommonRequest(version="2017-03-31", action_name="ExecuteRequest", product="saf")
    request.set_protocol_type(protocol_type.HTTP)
    request.add_body_params("Service", "face_verify")
    request.add_body_params("ServiceParameters", service)
    return request


def call(url, key_id, secret, verb, form, place, service):
    host = urlsplit(url)
    client = AcsClient(
        key_id, secret, "cn-shanghai", auto_retry=False, port=host.port, connect_timeout=30, timeout=120
    )
    text = json.dumps(service, ensure_ascii=False)
    request = (saf_request if place == "query" else body_request)(text)
    request.set_method(verb)
    request.set_endpoint(host.hostname)
    try:
        if form == "JSON":
            body = client.do_action_with_exception(request)
        else:  # the one method that leaves the form alone; it raises for nothing
            request.set_accept_format(form)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                body = client.do_action(request)
    except ServerException as error:
        return {"raised": error.error_code, "status": error.http_status, "body": None}
    return {"raised": None, "status": None, "body": body.decode("utf-8")}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([call(asked["url"], **one) for one in asked["calls"]], sys.stdout)
