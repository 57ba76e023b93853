# SPDX-License-Identifier: Apache-2.0
"""The completion script of fish, from 3.0 on. Pure. Source: the documentation of fish's ``complete``."""

from __future__ import annotations

from collections.abc import Iterator

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
# fish completion of lmcache-proxy.
# For this shell:  lmcache-proxy completion fish | source
# For all to come: lmcache-proxy completion fish > ~/.config/fish/completions/lmcache-proxy.fish

# Prints the command on the line, the number of its words so far, and 1 where an option stands in place of NODE.
function __lmcache_proxy_line
    set -l command ''
    set -l place 0
    set -l without 0
    set -l skip 0
    set -l tokens (commandline -opc)
    for at in (seq 2 (count $tokens))
        set -l word $tokens[$at]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case @NODE_FLAGS@
                set without 1
        end
        switch $word
            case @VALUED@
                set skip 1
            case @OPTIONAL@
                set -l following (math $at + 1)
                if test $following -le (count $tokens); and string match -qr '^[0-9]' -- $tokens[$following]
                    set skip 1
                end
            case '-?*'
            case '*'
                if test -z "$command"
                    set command $word
                else
                    set place (math $place + 1)
                end
        end
    end
    printf '%s\n' "$command" $place $without
end

# Says whether one of these commands (none: '') is on the line.
function __lmcache_proxy_in
    set -l line (__lmcache_proxy_line)
    contains -- "$line[1]" $argv
end

# Says whether the command $argv[1] is on the line and its word number $argv[2] (3+: or a later one) is wanted;
# $argv[3] is 1 where that must be without NODE, 0 where it must be with it.
function __lmcache_proxy_at
    set -l line (__lmcache_proxy_line)
    test "$line[1]" = "$argv[1]"; or return 1
    string match -qr '^-' -- (commandline -ct); and return 1
    test (count $argv) -lt 3; or test $line[3] = $argv[3]; or return 1
    set -l least (string replace '+' '' -- $argv[2])
    test $line[2] = $argv[2]; or begin
        test $least != $argv[2]; and test $line[2] -ge $least
    end
end

# Asks for names, briefly and quietly, of the frontend that the line names.
function __lmcache_proxy_names
    set -l tokens (commandline -opc)
    set -l connection
    for at in (seq 2 (count $tokens))
        switch $tokens[$at]
            case @CONNECTION@
                set -l following (math $at + 1)
                if test $following -le (count $tokens)
                    set connection $connection $tokens[$at] $tokens[$following]
                end
            case @CONNECTION_EQUALS@
                set connection $connection $tokens[$at]
        end
    end
    eval (string escape -- $tokens[1] completion --names $argv[1] $connection) 2>/dev/null </dev/null
end

complete -c lmcache-proxy -e
complete -c lmcache-proxy -f
"""


def fish_script(words: ProgramWords) -> str:
    """Give the script."""
    head = _HEAD
    for mark, flags in (
        ("@NODE_FLAGS@", (*NODE_FLAGS, *(f"{flag}=*" for flag in NODE_FLAGS))),
        ("@VALUED@", words.valued),
        ("@OPTIONAL@", words.optional),
        ("@CONNECTION@", CONNECTION_FLAGS),
        ("@CONNECTION_EQUALS@", tuple(f"{flag}=*" for flag in CONNECTION_FLAGS)),
    ):
        head = head.replace(mark, " ".join(map(_quoted, flags)))
    none = _complete("__lmcache_proxy_in ''")
    lines = [f"{none} -a {command.name} -d {_quoted(command.summary)}" for command in words.commands]
    lines += [_option_line(none, option) for option in words.early]
    for option, names in words.shared.items():
        lines.append(_option_line(_complete(f"__lmcache_proxy_in {' '.join(names)}"), option))
    for command in words.commands:
        lines += _slot_lines(command)
    return head + "\n".join(lines) + "\n"


def _option_line(complete: str, option: Option) -> str:
    flags = [
        f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" if len(flag) == 2 else f"-o {flag[1:]}"
        for flag in option.flags
    ]
    value = ""
    if option.value is not None and not option.is_optional:
        value = " -r -F" if option.value.kind is Kind.FILE else f" -x{_arguments(option.value)}"
    return f"{complete} {' '.join(flags)}{value} -d {_quoted(option.summary)}"


def _slot_lines(command: CommandWords) -> Iterator[str]:
    for without in (0, 1) if command.has_node else (None,):
        slots = slots_without_node(command) if without else command.slots
        for place, slot in enumerate(slots):
            last = command.repeats and place == len(slots) - 1
            condition = _at(command.name, f"{place}{'+' if last else ''}", without)
            if slot.kind is Kind.FILE:
                yield f"{_complete(condition)} -F"
            elif slot.kind is not Kind.ANYTHING:
                yield f"{_complete(condition)}{_arguments(slot)}"


def _arguments(slot: Slot) -> str:
    if slot.kind is Kind.ANYTHING:
        return ""
    if slot.kind is Kind.CHOICES:
        return f" -a {_quoted(' '.join(slot.choices))}"
    return f" -a {_quoted(f'(__lmcache_proxy_names {slot.kind.value})')}"


def _complete(condition: str) -> str:
    return f"complete -c lmcache-proxy -n {_quoted(condition)}"


def _at(name: str, place: str, without: int | None) -> str:
    return f"__lmcache_proxy_at {name} {place}" + ("" if without is None else f" {without}")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
