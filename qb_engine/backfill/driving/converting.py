"""how values become Temporal's payloads: as JSON, and errors without the lines of code they took"""

from __future__ import annotations

from dataclasses import replace

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter


class Stackless(DefaultFailureConverter):
    """What is raised is told, and not where: files and folders of a machine are nobody's affair."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        failure.stack_trace = ""


CONVERTER = replace(DataConverter.default, failure_converter_class=Stackless)
