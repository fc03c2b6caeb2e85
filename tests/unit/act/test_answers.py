"""What the API server's refusals come to, and in which words."""

import pytest

from maas_operator.act.answers import TEST_FAILED, ApiError, Gone, Outdated, Refused, api_error, judge
from maas_operator.api.conditions import Reason
from maas_operator.api.seen import WriteFailure

WHAT, NAMESPACE = "Deployment team-a/assistant", "team-a"


def failure(error: ApiError) -> WriteFailure:
    verdict = judge(WHAT, NAMESPACE, error)
    assert isinstance(verdict, Refused)
    return verdict.failure


def test_a_missing_permission_is_named_with_what_it_is_needed_for() -> None:
    words = (
        'deployments.apps "assistant" is forbidden: User "system:serviceaccount:maas:op" cannot patch resource '
        '"deployments" in API group "apps" in the namespace "team-a"'
    )
    found = failure(ApiError(403, {"message": words}))
    assert found.reason == Reason.FORBIDDEN
    assert found.retry
    assert found.message == (
        "the operator may not patch deployments.apps in namespace team-a (needed for running the instances of "
        "services): grant it to the operator's service account, as its chart does (kubectl maas auth grant operator)"
    )


def test_m2_a_part_of_an_object_is_named_as_kubectl_does() -> None:
    words = 'cannot patch resource "models/status" in API group "maas-operator.io" at the cluster scope'
    found = failure(ApiError(403, {"message": words})).message
    assert found.startswith("the operator may not patch models.maas-operator.io/status in namespace team-a (needed ")


def test_a_quota_speaks_for_itself() -> None:
    found = failure(ApiError(403, {"message": "exceeded quota: gold, requested: pods=1"}))
    assert found.reason == Reason.REFUSED
    assert "exceeded quota: gold" in found.message


def test_what_is_invalid_is_not_tried_again() -> None:
    found = failure(ApiError(422, {"message": "spec.replicas: must be positive"}))
    assert (found.reason, found.retry) == (Reason.REFUSED, False)
    assert found.message == f"the API server refuses {WHAT}: spec.replicas: must be positive"


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    found = failure(ApiError(status, {"message": "busy"}))
    assert (found.reason, found.retry) == (Reason.WRITE_FAILED, True)


def test_a_namespace_that_ends_is_no_failure() -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace team-a is being terminated"}]
    assert isinstance(judge(WHAT, NAMESPACE, ApiError(403, {"details": {"causes": causes}})), Gone)
    assert isinstance(judge(WHAT, NAMESPACE, ApiError(404, {})), Gone)


def test_a_conflict_means_to_look_again() -> None:
    assert isinstance(judge(WHAT, NAMESPACE, ApiError(409, {})), Outdated)


@pytest.mark.parametrize(
    ("message", "causes"),
    [
        (TEST_FAILED, []),
        ("invalid", [{"reason": "FieldValueInvalid", "field": "metadata.uid", "message": "field is immutable"}]),
    ],
    ids=["a test of a JSON Patch", "an apply or a merge patch"],
)
def test_another_object_of_the_name_means_to_look_again(message: str, causes: list[dict[str, str]]) -> None:
    error = ApiError(422, {"reason": "Invalid", "message": message, "details": {"causes": causes}})
    assert isinstance(judge(WHAT, NAMESPACE, error), Outdated)


def test_a_status_that_the_schema_refuses_is_not_taken_for_another_objects() -> None:
    causes = [{"reason": "FieldValueInvalid", "field": "status.phase", "message": "no such phase"}]
    error = ApiError(422, {"reason": "Invalid", "message": TEST_FAILED, "details": {"causes": causes}})
    assert isinstance(judge(WHAT, NAMESPACE, error), Refused)


def test_a_proxy_that_answers_html_is_an_error_like_another() -> None:
    assert str(api_error(502, b"<html>Bad gateway</html>")) == "HTTP 502: no message"
    assert "HTTP 502" in failure(api_error(502, b"[]")).message
