"""Conformance suites that ship with the package: subclass one in a test module and run pytest.

They need pytest and hypothesis: ``pip install "montezarr[testing]"``.
"""

from montezarr.core.optional import import_optional

_pytest = import_optional("pytest", extra="testing", purpose="montezarr.testing")
import_optional("hypothesis", extra="testing", purpose="montezarr.testing")
# Register before the import, so that failing asserts in a suite show their values.
_pytest.register_assert_rewrite(
    "montezarr.testing.backends",
    "montezarr.testing.processes",
    "montezarr.testing.samplers",
    "montezarr.testing.statistics",
    "montezarr.testing._accumulation",
)

from montezarr.testing.backends import BackendTests  # noqa: E402 - after the registration
from montezarr.testing.processes import ProcessTests  # noqa: E402
from montezarr.testing.samplers import SamplerTests  # noqa: E402
from montezarr.testing.statistics import StatisticTests  # noqa: E402

__all__ = ["BackendTests", "ProcessTests", "SamplerTests", "StatisticTests"]
