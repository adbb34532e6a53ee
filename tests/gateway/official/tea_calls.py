"""Runs in the environment of `alibabacloud-saf20170331`: calls on standard input, answers on standard output.

Each call has key_id, secret, verb and service; each answer has raised, status, code, message and data.
"""

import json
import sys
from urllib.parse import urlsplit

from alibabacloud_saf20170331.client import Client
from alibabacloud_saf20170331.models import ExecuteRequestRequest
from alibabacloud_tea_openapi import models as open_api
from alibabacloud_tea_util.models import RuntimeOptions
from Tea.exceptions import TeaException


def call(url, key_id, secret, verb, service, **_):
    config = open_api.Config(
        access_key_id=key_id,
        access_key_secret=secret,
        region_id="cn-shanghai",
        endpoint=urlsplit(url).netloc,
        protocol="HTTP",
    )
    client = Client(config)
    runtime = RuntimeOptions(autoretry=False, read_timeout=120_000, connect_timeout=30_000)
    fields = {"Service": "face_verify", "ServiceParameters": json.dumps(service, ensure_ascii=False)}
    try:
        if verb == "POST":  # the client's own method
            request = ExecuteRequestRequest().from_map(fields)
            answer = client.execute_request_with_options(request, runtime).to_map()
        else:  # its base class takes the verb and puts the parameters into the query
            answer = client.do_rpcrequest(
                "ExecuteRequest",
                "2017-03-31",
                "HTTP",
                verb,
                "AK",
                "json",
                open_api.OpenApiRequest(query=fields),
                runtime,
            )
    except TeaException as error:
        status = (error.data or {}).get("statusCode") or getattr(error, "statusCode", None)
        return {"raised": error.code, "status": status, "message": error.message}
    body = answer["body"]
    return {
        "raised": None,
        "code": body.get("Code"),
        "message": body.get("Message"),
        "data": body.get("Data"),
        "request_id": body.get("RequestId"),
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([call(asked["url"], **one) for one in asked["calls"]], sys.stdout)
