"""The words of `list` about growth name what there is, in the order of the registries."""

from recursive_lth.growth.catalogue import BIRTHS, GROWTHS
from recursive_lth.growth.initialise import INITIALISATIONS
from recursive_lth.growth.operators import COMPOUNDS, OPERATORS


def test_the_catalogue_is_that_of_the_registries() -> None:
    assert [*GROWTHS] == [*OPERATORS, *COMPOUNDS]
    assert {name: tuple(births) for name, births in INITIALISATIONS.items()} == BIRTHS
