"""Write docs/privacy-card.schema.json, the JSON Schema of a published privacy card."""

from __future__ import annotations

import json
from pathlib import Path

from privatekube.steps import privacy_card

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "privacy-card.schema.json"

if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(privacy_card.json_schema(), indent=2) + "\n")
