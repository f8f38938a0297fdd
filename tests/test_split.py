"""Splits: every sample in one part at most, sizes as asked, by seed and nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recursive_lth import seeds
from recursive_lth.config import Data, Training
from recursive_lth.errors import InputError
from recursive_lth.training.batches import Batches
from recursive_lth.training.datasets import Dataset
from recursive_lth.training.samples import Samples, Split
from recursive_lth.training.split import placed, split

CPU = torch.device("cpu")


def tagged(train: int, test: int) -> Dataset:
    """Image and label of training sample i are i, those of test sample i are -i - 1."""
    teaching, testing = torch.arange(train), -torch.arange(test) - 1
    return Dataset(
        "tagged",
        teaching.float().view(-1, 1, 1, 1),
        teaching,
        testing.float().view(-1, 1, 1, 1),
        testing,
        classes=train,
        black=torch.tensor([-0.5]),
        digest="",
    )


def tags(samples: Samples) -> list[int]:
    """Which samples they are; image and label must agree on it."""
    assert torch.equal(samples.images.flatten().long(), samples.labels)
    assert len(samples) == len(samples.labels)
    return samples.labels.tolist()


def parts(cut: Split) -> tuple[list[int], list[int], list[int]]:
    """The tags of training, validation and test samples."""
    return tags(cut.train), tags(cut.validation), tags(cut.test)


@given(
    st.integers(20, 90),
    st.integers(2, 40),
    st.floats(0.1, 0.9),
    st.integers(0, 120),
    st.integers(0, 60),
    st.integers(0, 2**40),
)
def test_parts_are_disjoint_and_sized(
    train: int, test: int, fraction: float, limit: int, test_limit: int, seed: int
) -> None:
    """Of n = min(limit, all) training samples round(fraction * n) validate and the rest teach.

    No sample is in two parts or twice in one, and none of the test part ever teaches.
    """
    used = min(limit or train, train)
    held = round(fraction * used)
    config = Data(validation_fraction=fraction, train_limit=limit, test_limit=test_limit)
    tested = min(test_limit or test, test)
    if min(held, used - held, tested) < 2:
        with pytest.raises(InputError, match="each part needs 2"):
            split(tagged(train, test), config, seed, CPU)
        return
    cut = split(tagged(train, test), config, seed, CPU)
    teaching, validating, testing = parts(cut)
    assert (len(teaching), len(validating)) == (used - held, held)
    assert len(set(teaching) | set(validating)) == used
    assert set(teaching) | set(validating) <= set(range(train))
    everything = [-i - 1 for i in range(test)]
    assert len(set(testing)) == len(testing) == tested
    assert testing == everything if not test_limit else set(testing) <= set(everything)
    assert cut.classes == train
    assert cut.black.tolist() == [-0.5]


@pytest.mark.parametrize(
    "config",
    [Data(test_limit=1), Data(train_limit=10), Data(train_limit=10, validation_fraction=0.9)],
)
def test_a_part_of_one_sample_is_refused(config: Data) -> None:
    """One sample is no part: 10 % and 90 % of 10 leave one to validate or to train."""
    with pytest.raises(InputError, match="each part needs 2"):
        split(tagged(200, 10), config, 0, CPU)


def test_the_seed_decides() -> None:
    """The same seed gives the same parts, whatever the global generator; another seed others."""
    found = []
    for seed, noise in ((1, 3), (1, 4), (2, 3)):
        torch.manual_seed(noise)
        found.append(parts(split(tagged(200, 10), Data(), seed, CPU)))
    assert found[0] == found[1]
    assert set(found[0][1]) != set(found[2][1])
    assert found[0][0] != sorted(found[0][0])


def test_a_limit_takes_a_random_part() -> None:
    """Data files may be sorted by class, so the first n could miss some: a random n are used."""
    whole = split(tagged(200, 10), Data(validation_fraction=0.5), 0, CPU)
    few = split(tagged(200, 10), Data(validation_fraction=0.5, train_limit=20), 0, CPU)
    order = torch.randperm(200, generator=seeds.generator(0, "data", "validation split")).tolist()
    assert set(tags(few.validation)) == set(order[:10]) <= set(tags(whole.validation))
    assert set(tags(few.train)) == set(order[100:110]) <= set(tags(whole.train))
    assert max(tags(few.train)) > 100


def test_every_sample_validates_about_equally_often() -> None:
    """Over 300 seeds each of 40 samples validates 300 / 4 = 75 times, deviation sqrt(75 * 3/4)."""
    count = torch.zeros(40)
    for seed in range(300):
        cut = split(tagged(40, 2), Data(validation_fraction=0.25), seed, CPU)
        count[tags(cut.validation)] += 1
    assert int(count.sum()) == 3000
    assert float((count - 75).abs().max()) < 5 * 7.5


@pytest.mark.parametrize("device", ["meta", "cuda"])
def test_parts_lie_on_the_device(device: str) -> None:
    """Everything is moved, and the same samples are chosen there: the order is drawn on the CPU."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    cut = split(tagged(50, 10), Data(), 3, torch.device(device))
    here = split(tagged(50, 10), Data(), 3, CPU)
    for part, same in (
        (cut.train, here.train),
        (cut.validation, here.validation),
        (cut.test, here.test),
    ):
        assert part.images.device.type == part.labels.device.type == device
        assert part.images.shape == same.images.shape
        if device != "meta":
            assert torch.equal(part.labels.cpu(), same.labels)
    assert cut.black.device.type == device


def test_the_data_set_is_left_alone() -> None:
    """Parts are copies of the training data, and the data set's own tensors do not change."""
    data = tagged(50, 10)
    cut = split(data, Data(), 0, CPU)
    cut.train.images.zero_()
    assert data.train_images.flatten().tolist() == list(range(50))


def test_splits_of_many_seeds_share_their_images() -> None:
    """One pool for all; what is taken of a part, and of what was taken, is what its images say."""
    data = tagged(50, 10)
    shared = placed(data, Data(), CPU)
    cuts = [split(data, Data(), seed, CPU, shared=shared) for seed in (0, 1)]
    pools = {part.pool.data_ptr() for cut in cuts for part in (cut.train, cut.validation)}
    assert pools == {shared.train_images.data_ptr()}
    assert tags(cuts[0].train) != tags(cuts[1].train)
    assert cuts[0].test is cuts[1].test is shared.test  # turned once, where something turns them
    limited = Data(test_limit=6)
    some, other = (split(data, limited, seed, CPU, shared=shared).test for seed in (0, 1))
    assert tags(some) != tags(other)
    train = cuts[0].train
    assert tags(train) == tags(split(data, Data(), 0, CPU).train)
    places = torch.tensor([4, 0, 7])
    some = train.at(places)
    assert tags(some) == [tags(train)[place] for place in places]
    assert tags(some.at(torch.tensor([2, 1]))) == [tags(train)[7], tags(train)[0]]
    assert tags(train.first(3)) == tags(train)[:3]
    assert tags(train.first(99)) == tags(train)
    assert tags(cuts[0].test.first(2)) == tags(cuts[0].test)[:2]


def test_batches_of_rows_are_batches_of_their_images() -> None:
    """Drawn from the pool or from copies, plain, turned or laid where they are wanted."""
    train = split(tagged(50, 10), Data(), 0, CPU).train
    copied = Samples(train.images, train.labels)
    for recipe in (Training(), Training(flip=True)):
        ours, theirs = (Batches(samples, torch.zeros(1), recipe) for samples in (train, copied))
        for into in (None, torch.empty(7, 1)):
            pairs = zip(
                ours.stream(7, 3, 2, 14, into=into), theirs.stream(7, 3, 2, 14), strict=True
            )
            for (images, labels, _), (others, same, _) in pairs:
                assert torch.equal(images.flatten(), others.flatten())
                assert torch.equal(labels, same)
                assert images.flatten().long().tolist() == labels.tolist()
