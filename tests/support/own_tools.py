"""Three tools and a persona, declared as a user does, and the rows that the stage `tools` draws of them."""

from __future__ import annotations

from pathlib import Path

from forge.data.declared.own_set import OwnTools, load_own_tool_rows
from forge.data.declared.stage import write_own_tool_rows
from forge.tools.declared.checking import read_sound_tools

TOOLS_YAML = """\
tools:
  - name: set_light
    description: Set how bright a light is.
    parameters:
      type: object
      properties:
        name: {type: string, enum: [hall light, desk lamp, café lamp]}
        brightness: {type: integer, minimum: 0, maximum: 100}
      required: [name, brightness]
    ask: {name: "Which light?"}
    examples:
      - set the {name} to {brightness} percent
      - put the {name} at {brightness} percent
      - "{name} to {brightness}"
      - {say: "dim the {name}", arguments: {brightness: 30}}
      - {say: "turn off the {name}", arguments: {brightness: 0}}
    results: ["{name} at {brightness} percent"]
    run: {command: [home-lights, set]}
  - name: set_lock
    parameters:
      type: object
      properties:
        name: {type: string, enum: [front door, shed]}
        locked: {type: boolean}
      required: [name, locked]
    synonyms: {true: [shut], false: [open]}
    examples:
      - {say: "lock the {name}", arguments: {locked: true}}
      - {say: "unlock the {name}", arguments: {locked: false}}
      - {say: "lock up the {name}", arguments: {locked: true}}
      - {say: "secure the {name}", arguments: {locked: true}}
      - {say: "let people in at the {name}", arguments: {locked: false}}
    run: {python: "home:set_lock"}
  - name: tell_weather
    parameters: {type: object}
    examples: [how is the weather, will it rain, is it cold outside, tell me the forecast, weather please]
personas:
  - name: butler
    prompt: Be a butler.
    examples:
      - {say: "Good evening.", answer: "Good evening, sir."}
      - {say: "Is dinner ready?", answer: "In an instant, sir."}
      - {say: "Thank you.", answer: "My pleasure, sir."}
"""


def declare_own_tools(folder: Path, rows: int = 60, text: str = TOOLS_YAML) -> OwnTools:
    """Write a tools file and the stage's output of it into a folder; what a run would have."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tools.yaml").write_text(text, encoding="utf-8")
    files = read_sound_tools(folder / "tools.yaml")
    write_own_tool_rows(folder, files, {"train": rows, "val": rows, "test": rows}, 0)
    return load_own_tool_rows(folder)
