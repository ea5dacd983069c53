"""A backend as environment variables for sh: what `AGENT_OTEL_BACKEND` fills in, for programs that it can't reach."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from agent_otel import backends

if TYPE_CHECKING:
    from agent_otel.backends import Backend, SignIn, Variable


def block(backend: Backend) -> str:
    """The variables to set, each with where it is found, then the standard variables that they stand for.

    Args:
        backend: Any.
    """
    way, *others = backend.sign_in
    templates = backend.standard(way)
    needed = {name for template in templates.values() for name in backends.places(template)}
    return "\n".join(
        [
            f"# {backend.title}: {backend.what}.",
            *_packages(backend.package or way.package),
            *(line for each in backend.variables if each.name in needed for line in _variable(each)),
            *(f"export {name}={_value(backend, name, template)}" for name, template in templates.items()),
            *(line for other in others for line in _other_way(backend, way, other)),
            "",
        ]
    )


def _packages(names: str) -> list[str]:
    return [f"# It needs: pip install {names}"] if names else []


def _variable(variable: Variable) -> list[str]:
    told = f"{variable.what}: {variable.where}"
    if variable.default is None:
        return [f': "${{{variable.name}:?{told}}}"']
    lines = [f"# {told}", f': "${{{variable.name}:={variable.default}}}"']
    if not variable.choices:
        return lines
    lines[0] += f"; one of {', '.join(variable.choices)}"
    meant_as = variable.name.lower()
    return [
        lines[0],
        f'case "${{{variable.name}:={variable.default}}}" in',
        *(f"  {given}) {meant_as}={meant} ;;" for given, meant in variable.choices.items()),
        f"  *) {meant_as}= ;;",
        "esac",
        f': "${{{meant_as}:?{variable.name} is one of {", ".join(variable.choices)}}}"',
    ]


def _value(backend: Backend, name: str, template: str) -> str:
    def one(place: str) -> str:
        variable = backend.variable(place)
        if variable.choices:
            return f"${{{place.lower()}}}"
        return f"${{{place}%${{{place}##*[!/]}}}}" if variable.is_url else f"${{{place}}}"

    def both(user: str, password: str) -> str:
        return f"""$(printf %s "${{{user}}}:${{{password}}}" | base64 | tr -d '\\n')"""

    value = backends.filled(template, one, both)
    if name == backends.RESOURCE:
        value += f"${{{name}:+,${name}}}"
    return shlex.quote(value) if value == template else f'"{value}"'


def _other_way(backend: Backend, way: SignIn, other: SignIn) -> list[str]:
    named = {name for template in way.headers.values() for name in backends.places(template)}
    more = {
        name: value for name, value in backend.standard(other).items() if name not in backend.standard(way)
    }
    instead = f"# Without {', '.join(sorted(named))}, by {other.how}"
    return [
        f"{instead}: pip install {other.package}, and in place of the headers",
        *(f"# export {name}={value}" for name, value in more.items()),
    ]
