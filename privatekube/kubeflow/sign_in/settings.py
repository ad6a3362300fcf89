"""What the settings of each way to sign in have in common."""

from __future__ import annotations

import pydantic

from privatekube.kubeflow.sign_in.secret import SecretReference


class Settings(pydantic.BaseModel):
    """Frozen settings without unknown keys; a message about them quotes no value."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    @property
    def holds_secret(self) -> bool:
        """Whether the settings file has a secret of this block itself, not a reference to it."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return any(isinstance(value, SecretReference) and value.is_literal for value in values)
