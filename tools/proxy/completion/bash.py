# SPDX-License-Identifier: Apache-2.0
"""The completion script of bash, from 3.2 on. Pure.

Names that the frontend gives are never expanded by the shell: they are compared, quoted, and offered.
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from .words import (
    CONNECTION_FLAGS,
    NODE_FLAGS,
    Kind,
    ProgramWords,
    Slot,
    flags_of,
    slots_without_node,
)

_LOGIC = r"""
# Offers those of the lines on its input that begin with $1.
_lmcache_proxy_offer() {
    local candidate quoted
    while IFS= read -r candidate; do
        if [[ -n $candidate && $candidate == "$1"* ]]; then
            printf -v quoted '%q' "$candidate"
            COMPREPLY[${#COMPREPLY[@]}]=$quoted
        fi
    done
}

# Asks for names, briefly and quietly, of the frontend that the line names.
_lmcache_proxy_names() {
    "${words[0]}" completion --names "$1" ${connection[@]+"${connection[@]}"} 2>/dev/null </dev/null
}

_lmcache_proxy() {
    local words=() connection=() word glue='' index command='' place=0 shift_by=0 current previous cut
    COMPREPLY=()
    # Bash breaks words at : and =, which are part of ours.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((index)) && [[ $word == [:=]* ]]; then
            words[${#words[@]}-1]+=$word
            glue=yes
        elif [[ -n $glue ]]; then
            words[${#words[@]}-1]+=$word
            glue=''
        else
            words[${#words[@]}]=$word
        fi
    done
    current=${words[${#words[@]}-1]}
    current=${current//\\/}
    previous=''
    for ((index = 1; index < ${#words[@]} - 1; index++)); do
        word=${words[index]}
        case $word in
            @CONNECTION@) connection+=("$word" "${words[index+1]}") ;;
            @CONNECTION_EQUALS@) connection+=("$word") ;;
        esac
        case $word in
            @NODE_FLAGS@) shift_by=1 ;;
        esac
        case $word in
            @VALUED@)
                ((index++))
                if ((index == ${#words[@]} - 1)); then previous=$word; fi ;;
            @OPTIONAL@)
                if [[ ${words[index+1]} == [0-9]* ]]; then ((index++)); fi ;;
            -?*) ;;
            *)
                if [[ -z $command ]]; then command=$word; else ((place++)); fi ;;
        esac
    done
    cut=${current%"${current##*[:=]}"}
    if [[ -n $previous ]]; then
        _lmcache_proxy_value "$command" "$previous" "$current"
    elif [[ $current == --*=* ]]; then
        _lmcache_proxy_value "$command" "${current%%=*}" "${current#*=}"
        cut=''
    elif [[ $current == -* ]]; then
        _lmcache_proxy_options "$command" "$current"
        cut=''
    elif [[ -z $command ]]; then
        _lmcache_proxy_offer "$current" <<< "$_lmcache_proxy_commands"
    else
        _lmcache_proxy_word "$command" "$shift_by" "$place" "$current"
    fi
    # What is before the last : or = stands already.
    if [[ -n $cut && $COMP_WORDBREAKS == *:* ]]; then
        for ((index = 0; index < ${#COMPREPLY[@]}; index++)); do
            COMPREPLY[index]=${COMPREPLY[index]#"$cut"}
        done
    fi
}

complete -F _lmcache_proxy lmcache-proxy
"""
_FILES = "compopt -o default 2>/dev/null"


def bash_script(words: ProgramWords) -> str:
    """Give the script."""
    names = "\n".join(command.name for command in words.commands)
    pieces = [
        "# bash completion of lmcache-proxy.",
        '# For this shell:  eval "$(lmcache-proxy completion bash)"',
        "# For all to come: lmcache-proxy completion bash > ~/.local/share/bash-completion/completions/lmcache-proxy",
        "",
        f"_lmcache_proxy_commands={quote(names)}",
        "",
        *_function("_lmcache_proxy_options", "case $1 in", _options_cases(words)),
        "",
        *_function("_lmcache_proxy_value", 'case "$1 $2" in', _value_cases(words)),
        "",
        *_function("_lmcache_proxy_word", 'case "$1 $2 $3" in', _word_cases(words), "4"),
    ]
    logic = _LOGIC
    for mark, flags in (
        ("@CONNECTION@", CONNECTION_FLAGS),
        ("@CONNECTION_EQUALS@", tuple(f"{flag}=*" for flag in CONNECTION_FLAGS)),
        ("@NODE_FLAGS@", (*NODE_FLAGS, *(f"{flag}=*" for flag in NODE_FLAGS))),
        ("@VALUED@", words.valued),
        ("@OPTIONAL@", words.optional),
    ):
        logic = logic.replace(mark, " | ".join(flags))
    return "\n".join(pieces) + "\n" + logic


def _function(name: str, head: str, cases: Iterable[tuple[str, str]], prefix: str = "") -> list[str]:
    """Give a function that chooses by its arguments; cases are a pattern and what is done."""
    lines = [f"{name}() {{", f"    {head}"]
    lines += [f"        {pattern}) {action} ;;" for pattern, action in cases]
    return [*lines, "    esac", "}"]


def _options_cases(words: ProgramWords) -> Iterable[tuple[str, str]]:
    yield "''", _offer(flags_of(words.early), "2")
    for command in words.commands:
        yield command.name, _offer(flags_of(command.options), "2")


def _value_cases(words: ProgramWords) -> Iterable[tuple[str, str]]:
    """Yield what is done for the value of an option, which is often the same for all commands."""
    by_action: dict[tuple[str, str], list[str]] = {}
    for name, options in [("", words.early), *((command.name, command.options) for command in words.commands)]:
        for option in options:
            if option.value is not None:
                for flag in option.flags:
                    by_action.setdefault((flag, _slot_action(option.value, "3")), []).append(name)
    actions: dict[str, list[str]] = {}
    for (flag, action), names in by_action.items():
        if action:
            actions.setdefault(action, []).extend(quote(f"{name} {flag}") for name in names)
    for action, patterns in actions.items():
        yield " | ".join(patterns), action


def _word_cases(words: ProgramWords) -> Iterable[tuple[str, str]]:
    for command in words.commands:
        for shift, slots in (
            (0, command.slots),
            (1, slots_without_node(command) if command.has_node else command.slots),
        ):
            for place, slot in enumerate(slots):
                action = _slot_action(slot, "4")
                last = place == len(slots) - 1 and command.repeats
                if action:
                    yield f"'{command.name} {shift} '{'*' if last else place}", action


def _slot_action(slot: Slot, argument: str) -> str:
    if slot.kind is Kind.CHOICES:
        return _offer(slot.choices, argument)
    if slot.kind is Kind.FILE:
        return _FILES
    if slot.kind is Kind.ANYTHING:
        return ""
    return f'_lmcache_proxy_offer "${argument}" < <(_lmcache_proxy_names {slot.kind.value})'


def _offer(candidates: Iterable[str], argument: str) -> str:
    return f'_lmcache_proxy_offer "${argument}" <<< ' + "$'" + "\\n".join(candidates) + "'"
