"""When subtitles of DVD (VobSub) end, by the control sequences of their pictures: packets of some
files do not say it. Times are in seconds."""

from fractions import Fraction

#: A unit of the times in control sequences, in seconds.
_UNIT = Fraction(1024, 90_000)
_STOP = 2
#: Bytes of arguments of each command; one of changing colours (7) says its own size.
_ARGUMENTS = {0: 0, 1: 0, _STOP: 0, 3: 2, 4: 2, 5: 6, 6: 4}


def vobsub_shown_for(data: bytes) -> Fraction:
    """Seconds after its begin at which a subtitle of DVD (VobSub) is to go, 0 if nothing says
    it: packets of some files do not, but the picture does."""
    at = int.from_bytes(data[2:4])
    while 4 <= at <= len(data) - 4:
        date, following = int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])
        if _stops(data[at + 4 :]):
            return date * _UNIT
        if following <= at:
            break
        at = following
    return Fraction(0)


def _stops(commands: bytes) -> bool:
    """Whether the picture goes by one of these commands."""
    at = 0
    while at < len(commands) and commands[at] in _ARGUMENTS:
        if commands[at] == _STOP:
            return True
        at += 1 + _ARGUMENTS[commands[at]]
    return False
