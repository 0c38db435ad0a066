import pytest

from . import processor


def test_a_bound_is_never_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_TIME_SCALE", raising=False)
    monkeypatch.setattr(processor, "_reference_work_s", lambda: processor.UNIT_S / 3)

    assert processor.time_scale() == 1


def test_a_slower_processor_widens_bounds_by_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TIME_SCALE", "2")
    monkeypatch.setattr(processor, "_reference_work_s", lambda: processor.UNIT_S * 3)

    assert processor.time_scale() == pytest.approx(6)


def test_the_reference_work_takes_processor_time() -> None:
    assert processor._reference_work_s() > 0
