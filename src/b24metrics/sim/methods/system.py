"""Health and introspection.

Source: vendor, "server.time", "scope", "method.get", "methods", "app.info", "feature.get".
"""

from __future__ import annotations

from b24metrics.sim import php
from b24metrics.sim.accounts import ALL_SCOPES
from b24metrics.sim.calls import METHODS, Call, Method, method
from b24metrics.sim.refusals import Refusal


@method("server.time")
def server_time(call: Call) -> object:
    return call.session.renderer.instant(call.now)


@method("scope")
def scope(call: Call) -> object:
    return sorted(ALL_SCOPES if php.yes(call.arg("full")) else call.session.credential.scopes)


def _available(call: Call, found: Method) -> bool:
    credential = call.session.credential
    return (not found.scopes or bool(found.scopes & credential.scopes)) and (
        not found.application or credential.application is not None
    )


@method("method.get")
def method_get(call: Call) -> object:
    name = php.text(call.arg("name")).lower()
    found = METHODS.get(name)
    if found is None:
        return {"isExisting": name == "batch", "isAvailable": name == "batch"}
    return {"isExisting": True, "isAvailable": _available(call, found)}


@method("methods")
def methods(call: Call) -> object:
    wanted = php.text(call.arg("scope"))
    return ["batch"] * (not wanted) + [
        found.name.lower()
        for found in METHODS.values()
        if (wanted in found.scopes if wanted else php.yes(call.arg("full")) or _available(call, found))
    ]


@method("app.info", application=True)
def app_info(call: Call) -> object:
    application = call.session.credential.application
    assert application is not None  # the front desk lets nobody else in
    settings = call.session.settings
    return {
        "ID": application.number,
        "CODE": application.client_id,
        "VERSION": 1,
        "STATUS": application.status,
        "INSTALLED": application.installed,
        "PAYMENT_EXPIRED": "N",
        "DAYS": None,
        "LANGUAGE_ID": settings["LANGUAGE_ID"],
        "LICENSE": settings["LICENSE"],
        "LICENSE_TYPE": php.text(settings["LICENSE"]).partition("_")[2],
        "LICENSE_FAMILY": settings["PLAN"],
    }


@method("feature.get")
def feature(call: Call) -> object:
    code = php.text(call.arg("CODE"))
    if not code:
        raise Refusal("CODE_EMPTY")
    offered = {"rest_offline_extended": call.portal.switches.extended_queue, "rest_auth_connector": True}
    return {"value": "Y" if offered.get(code) else "N"}
