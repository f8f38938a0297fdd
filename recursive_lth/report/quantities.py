"""Numbers as people read them: 30.0k weights, 98.61 %, 12.3 G multiply-adds, 1 min 12 s."""

UNKNOWN = "–"
PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def count(number: float) -> str:
    """Three digits and a prefix; whole numbers below a thousand stay as they are.

    >>> [count(n) for n in (850, 30_000, 999_950, 1_234_000)]
    ['850', '30.0k', '1.00M', '1.23M']
    """
    return "".join(_scale(number))


def short_count(number: float) -> str:
    """A number without digits that say nothing, for the marks of an axis.

    >>> [short_count(n) for n in (0, 800, 2000, 1_250_000)]
    ['0', '800', '2k', '1.25M']
    """
    digits, prefix = _scale(number)
    return f"{float(digits):g}{prefix}"


def operations(number: float) -> str:
    """A number of multiply-adds, without the words.

    >>> operations(12_340_000_000)
    '12.3 G'
    """
    return " ".join(_scale(number)).rstrip()


def percent(fraction: float | None, *, digits: int = 2) -> str:
    """A fraction as a percentage, or a dash where it is not known.

    >>> percent(0.98612), percent(-0.069), percent(None)
    ('98.61 %', '−6.90 %', '–')
    """
    return UNKNOWN if fraction is None else f"{100 * fraction:.{digits}f} %".replace("-", "−")


def signed(number: float, digits: int) -> str:
    """A difference with its sign.

    >>> signed(0.4149, 2), signed(-0.2, 1)
    ('+0.41', '−0.2')
    """
    return f"{number:+.{digits}f}".replace("-", "−")


def points(difference: float) -> str:
    """A difference of two fractions, in percentage points.

    >>> points(0.0041), points(-0.002)
    ('+0.41 points', '−0.20 points')
    """
    return f"{signed(100 * difference, 2)} points"


def probability(number: float) -> str:
    """A probability to three digits.

    >>> probability(0.03125), probability(0.0001)
    ('0.031', '<0.001')
    """
    return "<0.001" if number < 0.0005 else f"{number:.3f}"


def magnitude(number: float | None) -> str:
    """A small number by its magnitude; zero is plain.

    >>> magnitude(0.0), magnitude(0.0000012), magnitude(None)
    ('0', '1.2e-06', '–')
    """
    if number is None:
        return UNKNOWN
    return "0" if number == 0 else f"{number:.1e}"


def change(number: float | None) -> str:
    """A small difference by its sign and magnitude; zero is plain.

    >>> change(-0.00123), change(0.0), change(None)
    ('−1.2e-03', '0', '–')
    """
    if not number:
        return magnitude(number)
    return f"{'−' if number < 0 else '+'}{magnitude(abs(number))}"


def duration(seconds: float) -> str:
    """A time in the two units that matter.

    >>> duration(7.24), duration(72), duration(7320)
    ('7.2 s', '1 min 12 s', '2 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _scale(number: float) -> tuple[str, str]:
    if abs(number) < 999.5:
        return f"{number:.3g}", ""
    for prefix in PREFIXES:
        if abs(number) < 999.5 or prefix == PREFIXES[-1]:
            break
        number /= 1000
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{digits}f}", prefix
