"""M12: every controller has a word for whatever is decided of a service, and it is the table's."""

from hypothesis import given
from hypothesis import strategies as st

from maas_operator.api.seen import Outcome, ServiceSeen, WriteFailure
from maas_operator.api.settings import Settings
from maas_operator.decide import decide_service, with_outcome
from tests.unit.decide.facts import NOW
from tests.unit.decide.strategies import services, settings
from tests.unit.decide.test_properties import FAILURES, check_status, standing
from tests.unit.health.objects import Case
from tests.unit.health.table import of_a_service
from tests.unit.health.test_argo_cd import assessed
from tests.unit.health.test_flux import evaluated


@given(services(), settings(), st.lists(FAILURES, max_size=2))
def test_m12_the_table_has_a_row_for_any_service(
    seen: ServiceSeen, given_settings: Settings, failures: list[WriteFailure]
) -> None:
    for each in (seen, standing(seen, given_settings)[0]):
        decision = decide_service(each, given_settings, NOW)
        generation = each.service["metadata"].get("generation", 0)
        status = with_outcome(decision, Outcome(tuple(failures)), generation, NOW)
        check_status(status, "ModelService")
        case = Case("any", dict(each.service) | {"status": status})
        if not case.leaving:
            row = of_a_service(case)
            assert (assessed(case.manifest)[0], evaluated("ModelService", case.manifest)) == (row.argo_cd, row.flux)
