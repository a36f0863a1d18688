"""After ten tokens that are not good within a minute an address is answered 429: as good a refusal
as 401, and what a check that tries bad tokens on every operation runs into."""

import schemathesis.specs.openapi.checks as checks

assert 401 in checks.AUTH_REJECTION_STATUSES
checks.AUTH_REJECTION_STATUSES = (401, 403, 429)
