"""Choices that the data leave open: guessed and owned up to, or asked on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from geospde.errors import InputError
from geospde.text.words import listed


class Guesser:
    """Takes the likeliest choice, and keeps a sentence about each one that was not certain.

    Attributes
    ----------
    doubts : list of str
        What was guessed, what else it could have been, and the option that settles it.

    Examples
    --------
    >>> guesser = Guesser()
    >>> guesser.choose("the response", {"zinc": "", "lead": ""}, "zinc", "--response")
    'zinc'
    >>> guesser.doubts
    ["the response is a guess: 'zinc'; another is 'lead' (--response)"]
    """

    def __init__(self) -> None:
        self.doubts: list[str] = []

    def choose(self, what: str, choices: Mapping[str, str], best: str, option: str) -> str:
        """Return one of the choices.

        Parameters
        ----------
        what : str
            What is to be chosen, as the subject of a sentence.
        choices : mapping
            The choices, and what helps to decide for each.
        best : str
            The likeliest.
        option : str
            The option of the command that says it.
        """
        others = listed((c for c in choices if c != best), most=6)
        said = "another is" if len(choices) == 2 else "others are"
        self.doubts.append(f"{what} is a guess: {best!r}; {said} {others} ({option})")
        return best

    def note(self, sentence: str) -> None:
        """Keep what a user should know of a guess that leaves nothing to choose."""
        self.doubts.append(sentence)


class Terminal(Guesser):
    """Asks the person at the terminal; an empty answer takes the likeliest choice."""

    def choose(self, what: str, choices: Mapping[str, str], best: str, option: str) -> str:
        """Ask until the answer is a number or a name of a choice; raise InputError at the end of the input."""
        names = list(choices)
        width = max(map(len, names))
        print(f"What is {what}?", file=sys.stderr)
        for number, name in enumerate(names, start=1):
            print(f"  {number}  {name:{width}}  {choices[name]}".rstrip(), file=sys.stderr)
        while True:
            print(f"Number or name [{best}]: ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line:
                print(file=sys.stderr)
                raise InputError(
                    f"the input ended before {what} was said: give {option}, or --yes to accept the guesses"
                )
            answer = line.strip() or best
            if answer.isdecimal() and 1 <= int(answer) <= len(names):
                return names[int(answer) - 1]
            if answer in choices:
                return answer
