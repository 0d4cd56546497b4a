"""The API of Amazon Bedrock over HTTP: its runtime, and of its control plane the list of models.

Sources: Amazon Bedrock API Reference, and the User Guide's pages on each model's native body. One
module for each idea; ``texts`` and ``models`` hold the addresses.
"""

from __future__ import annotations

from dataclasses import dataclass

from studiolo.server.bedrock.errors import body_of, code_of, status_of
from studiolo.server.dialects import Dialect
from studiolo.server.replies import Json
from studiolo.server.schema import shape


@dataclass(frozen=True)
class AwsDialect(Dialect):
    """A dialect whose statuses are those of AWS: who is not known has 403, and not 401."""

    def refusal(self, error: Exception, request: str) -> Json:
        """The answer that tells of ``error``."""
        answer = super().refusal(error, request)
        answer.status_code = status_of(error)
        return answer


BEDROCK = AwsDialect(
    name="bedrock",
    prefixes=(
        "/model/",
        "/foundation-models",
        # Of these there is nothing here; their clients are told so in words that they can read.
        "/async-invoke",
        "/automated-reasoning-policies",
        "/custom-models",
        "/evaluation-job",
        "/foundation-model-availability/",
        "/guardrail",
        "/imported-models",
        "/inference-profiles",
        "/logging/modelinvocations",
        "/marketplace-model/",
        "/model-copy-jobs",
        "/model-customization",
        "/model-import-jobs",
        "/model-invocation-job",
        "/prompt-routers",
        "/provisioned-model-throughput",
    ),
    body=lambda error, request: body_of(error),
    headers=lambda request: {"x-amzn-requestid": request},
    error_headers=lambda error: {"x-amzn-errortype": code_of(error)},
    error=shape({"message": "string"}),
    streams="application/vnd.amazon.eventstream",
)
