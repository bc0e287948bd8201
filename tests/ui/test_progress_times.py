"""How far a job is, by the last one that took the same steps; a time that may be wrong is not said."""

from __future__ import annotations

from pipelines.core.job import Step
from ui.tool_tab.progress_times import MAX_PACE_RATIO, Estimate, ProgressTimes

STEPS = (Step(1, 1, "Cutting out"), Step(1, 2, "Drawing"), Step(2, 2, "Drawing"))


def run_job(times: ProgressTimes, seconds: tuple[float, ...], end: float) -> list[Estimate]:
    job = times.start_job()
    estimates = [job.note_step(step, now) for step, now in zip(STEPS, seconds, strict=False)]
    times.finish_job(job, end)
    return estimates


def test_the_first_job_knows_nothing_and_the_second_its_share_and_its_time() -> None:
    times = ProgressTimes()
    assert run_job(times, (0.0, 4.0, 8.0), 10.0) == [Estimate(), Estimate(), Estimate()]
    begun, middle, late = run_job(times, (100.0, 104.4, 108.8), 111.0)
    assert begun == Estimate(0.0, None)
    assert middle.share == 0.4
    assert middle.seconds_left is not None
    assert abs(middle.seconds_left - (111.0 - 104.4)) < 0.3 * (111.0 - 104.4)
    assert late.seconds_left is not None


def test_another_pace_says_no_time_and_the_share_never_goes_back() -> None:
    times = ProgressTimes()
    run_job(times, (0.0, 4.0, 8.0), 10.0)
    job = times.start_job()
    shares = [job.note_step(step, now).share for step, now in ((STEPS[0], 0.0), (STEPS[2], 1.0), (STEPS[1], 2.0))]
    assert shares == [0.0, 0.8, 0.8]
    assert job.note_step(STEPS[1], 4.0 * MAX_PACE_RATIO + 0.1).seconds_left is None
    assert job.note_step(Step(1, 9, "Something else"), 5.0) == Estimate()


def test_a_job_that_leaves_out_what_took_longest_says_no_time() -> None:
    """A cut-out that is known already is not made again: by the last job its drawing would take as long as both."""
    times = ProgressTimes()
    run_job(times, (0.0, 28.0, 29.0), 30.0)
    job = times.start_job()
    told = [job.note_step(step, now) for step, now in ((STEPS[1], 0.0), (STEPS[2], 2.0))]
    assert [estimate.seconds_left for estimate in told] == [None, None]
