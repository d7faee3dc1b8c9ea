"""The house behind tools.yaml: one state, which every call changes and answers for in a short line."""

from __future__ import annotations

from typing import Any

STATE: dict[str, Any] = {
    "lights": {},
    "locks": {},
    "covers": {},
    "water": {},
    "fans": {},
    "thermostats": {},
    "vacuum": ("dock", None),
    "playing": {},
    "players": {},
    "volumes": {},
    "shopping": [],
    "timers": [],
    "alarm": [],
    "readings": 0,
}
_WARMTH = {"kitchen": 21.0, "bedroom": 18.5, "study": 20.0, "bathroom": 23.0, "nursery": 21.5, "workshop": 16.5}


def set_light(name: str, brightness: int) -> str:
    """Percent of full light."""
    STATE["lights"][name] = brightness
    return f"{name} at {brightness} percent"


def set_lock(name: str, locked: bool) -> str:
    """Whether a door is locked."""
    STATE["locks"][name] = locked
    return f"{name} locked: {'yes' if locked else 'no'}"


def move_cover(name: str, position: int) -> str:
    """Percent open."""
    STATE["covers"][name] = position
    return f"{name} at {position} percent"


def set_valve(place: str, minutes: int) -> str:
    """Minutes that the water still runs."""
    STATE["water"][place] = minutes
    return f"{place}: water for {minutes} minutes"


def set_fan(name: str, speed: str) -> str:
    """off, low, medium or high."""
    STATE["fans"][name] = speed
    return f"{name} on {speed}"


def set_thermostat(room: str, temperature: float) -> str:
    """Degrees Celsius that a room is to have."""
    STATE["thermostats"][room] = temperature
    return f"{room} at {temperature:g} degrees"


def read_temperature(room: str) -> str:
    """Degrees Celsius that a room has: what its thermostat was set to, or what the house began with."""
    STATE["readings"] += 1
    return f"{room}: {STATE['thermostats'].get(room, _WARMTH[room]):g} degrees"


def vacuum(action: str, room: str | None = None) -> str:
    """clean, pause or dock; in one room or everywhere."""
    STATE["vacuum"] = (action, room)
    return f"vacuum: {action}"


def play(title: str, room: str) -> str:
    """What plays in a room."""
    STATE["playing"][room] = title
    STATE["players"][room] = "resume"
    return f"{room}: {title}"


def player(room: str, action: str) -> str:
    """pause, resume, next or previous."""
    STATE["players"][room] = action
    return f"{room} player: {action}"


def set_volume(room: str, volume: int) -> str:
    """Percent of full volume."""
    STATE["volumes"][room] = volume
    return f"{room} volume: {volume}"


def add_to_list(item: str) -> str:
    """On the shopping list, once."""
    if item not in STATE["shopping"]:
        STATE["shopping"].append(item)
    return f"on the list: {item}"


def remove_from_list(item: str) -> str:
    """Off the shopping list."""
    if item not in STATE["shopping"]:
        return f"error: {item} is not on the list"
    STATE["shopping"].remove(item)
    return f"off the list: {item}"


def set_timer(duration: str) -> str:
    """One more timer, in the words that it was asked for in."""
    STATE["timers"].append(duration)
    return f"timer: {duration}"


def arm_alarm(zones: list[str]) -> str:
    """The zones that are watched, and no others."""
    STATE["alarm"] = zones
    return f"armed: {', '.join(zones)}"
