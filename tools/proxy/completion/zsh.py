# SPDX-License-Identifier: Apache-2.0
"""The completion script of zsh. Pure. Source: zshcompsys(1), ``_arguments``."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from .words import (
    CONNECTION_FLAGS,
    NODE_FLAGS,
    CommandWords,
    Kind,
    Option,
    ProgramWords,
    Slot,
    slots_without_node,
)

_HEAD = """\
#compdef lmcache-proxy
# zsh completion of lmcache-proxy.
# For this shell:  eval "$(lmcache-proxy completion zsh)"
# For all to come: lmcache-proxy completion zsh > a file called _lmcache-proxy in a folder of $fpath

# Asks for names, briefly and quietly, of the frontend that the line names.
_lmcache_proxy_names() {
    local -a names connection
    local at word
    for ((at = 2; at < $#whole_line; at++)); do
        word=$whole_line[at]
        case $word in
            @CONNECTION@) connection+=($word $whole_line[at+1]) ;;
            @CONNECTION_EQUALS@) connection+=($word) ;;
        esac
    done
    names=(${(f)"$($whole_line[1] completion --names $1 $connection 2>/dev/null </dev/null)"})
    compadd -- $names
}
_lmcache_proxy_nodes() { _lmcache_proxy_names nodes }
_lmcache_proxy_contexts() { _lmcache_proxy_names contexts }
_lmcache_proxy_proxies() { _lmcache_proxy_names proxies }

_lmcache_proxy() {
    local context state state_descr line curcontext=$curcontext
    local -a whole_line=($words)
    typeset -A opt_args
"""
_TAIL = """
}

if [[ $funcstack[1] == _lmcache-proxy ]]; then
    _lmcache_proxy "$@"
else
    compdef _lmcache_proxy lmcache-proxy
fi
"""
_FUNCTIONS = {
    Kind.NODES: "_lmcache_proxy_nodes",
    Kind.CONTEXTS: "_lmcache_proxy_contexts",
    Kind.PROXIES: "_lmcache_proxy_proxies",
    Kind.FILE: "_files",
    Kind.ANYTHING: " ",
}


def zsh_script(words: ProgramWords) -> str:
    """Give the script."""
    head = _HEAD.replace("@CONNECTION@", "|".join(CONNECTION_FLAGS))
    head = head.replace("@CONNECTION_EQUALS@", "|".join(f"{flag}=*" for flag in CONNECTION_FLAGS))
    described = [quote(f"{command.name}:{_plain(command.summary)}") for command in words.commands]
    groups = _groups(words)
    lines = [
        *(
            f"    local -a options_{number}=({_joined(_option_specs(group))})"
            for number, group in enumerate(groups.values())
        ),
        f"    _arguments -A '-*' -C {_joined(_option_specs(words.early))} \\",
        "        '1: :->command' '*:: :->words' && return",
        "    case $state in",
        "        command)",
        "            local -a commands=(",
        *(f"                {one}" for one in described),
        "            )",
        "            _describe command commands ;;",
        "        words)",
        f"            local at optional='({'|'.join(words.optional)})'",
        "            # A number of its own after such an option is no word of the command's.",
        "            for ((at = 2; at < CURRENT - 1; at++)); do",
        "                if [[ $words[at] == ${~optional} && $words[at+1] == [0-9]* ]]; then",
        '                    words[at]+="=$words[at+1]"',
        "                    words[at+1]=()",
        "                    ((CURRENT--))",
        "                fi",
        "            done",
        "            case $words[1] in",
    ]
    for command in words.commands:
        options = " ".join(f"$options_{at}" for at, names in enumerate(groups) if command.name in names)
        lines += [f"                {command.name})", *_command_lines(command, options), "                    ;;"]
    lines += ["            esac ;;", "    esac"]
    return head + "\n".join(lines) + _TAIL


def _groups(words: ProgramWords) -> dict[tuple[str, ...], list[Option]]:
    """Give the options that the same commands have, by the names of these."""
    groups: dict[tuple[str, ...], list[Option]] = {}
    for option, names in words.shared.items():
        groups.setdefault(names, []).append(option)
    return groups


def _command_lines(command: CommandWords, options: str) -> list[str]:
    usual = f"                    _arguments {options}{_joined(_slot_specs(command.slots, command.repeats), ' ')}"
    if not command.has_node:
        return [usual]
    flags = " || ".join(f"$whole_line[(I){flag}(|=*)]" for flag in NODE_FLAGS)
    other = _slot_specs(slots_without_node(command), command.repeats)
    return [
        f"                    if (( {flags} )); then",
        f"                        _arguments {options}{_joined(other, ' ')}",
        "                    else",
        f"    {usual}",
        "                    fi",
    ]


def _option_specs(options: Iterable[Option]) -> Iterable[str]:
    for option in options:
        for flag in option.flags:
            equals = "=" if flag.startswith("--") else ""
            if option.value is None:
                yield f"*{flag}[{_escaped(option.summary)}]"
            elif option.is_optional:
                yield f"*{flag}=-[{_escaped(option.summary)}]::{_message(option.value)}:{_action(option.value)}"
            else:
                yield f"*{flag}{equals}[{_escaped(option.summary)}]:{_message(option.value)}:{_action(option.value)}"


def _slot_specs(slots: tuple[Slot, ...], repeats: bool) -> Iterable[str]:
    for place, slot in enumerate(slots, start=1):
        where = "*" if repeats and place == len(slots) else place
        yield f"{where}:{_message(slot)}:{_action(slot)}"


def _action(slot: Slot) -> str:
    if slot.kind is Kind.CHOICES:
        return f"({' '.join(choice.replace(':', chr(92) + ':') for choice in slot.choices)})"
    return _FUNCTIONS[slot.kind]


def _message(slot: Slot) -> str:
    return _escaped(slot.title.lower()).replace("|", " or ")


def _escaped(text: str) -> str:
    for character in "\\[]:":
        text = text.replace(character, f"\\{character}")
    return text


def _plain(text: str) -> str:
    return text.replace(":", "\\:")


def _joined(specs: Iterable[str], before: str = "") -> str:
    return "".join(f"{before}{quote(spec)}" if before else f"{quote(spec)} " for spec in specs)
