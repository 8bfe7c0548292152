//! Progress of an application, which reports it to its client from any thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most named tasks of an application.
pub const MAX_TASKS: usize = 64;

/// How long the news that a silence has ended waits: the progress that ended it may be withdrawn.
const SETTLE_NS: i64 = 20_000_000;

/// The name of the event loop's own progress in beats.
const EVENT_LOOP: &[u8] = b"event-loop";

/// Part of an application that makes progress by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// The application as a whole.
    Application,
    /// A watched event loop.
    EventLoop,
    /// A part with a name.
    Named(Box<[u8]>),
}

/// The application's reports, shared with the client.
#[derive(Debug, Default)]
pub struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the client started or a task ended: without any mark, progress counts from then.
    since_ns: i64,
    /// The last progress of each task.
    marks: Vec<(Task, i64)>,
    failures: u64,
    busy_until_ns: Option<i64>,
    /// When a beat may report that a silence was announced or ended, unless one has.
    news_ns: Option<i64>,
}

/// A mark, with the one that it replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    at_ns: i64,
    before_ns: i64,
    ended: Option<Silence>,
}

/// An announced silence that progress has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silence {
    until_ns: i64,
    /// The news before its end.
    news_ns: Option<i64>,
}

impl Mark {
    /// Returns whether the mark ended an announced silence, which is news.
    #[must_use]
    pub fn ended_silence(&self) -> bool {
        self.ended.is_some()
    }
}

/// What a beat says of the application.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Time since the oldest mark.
    pub(super) age_ns: Option<i64>,
    /// The name of its task.
    pub(super) task: Option<Box<[u8]>>,
    pub(super) failures: u64,
    /// The rest of the announced silence.
    pub(super) busy_ns: Option<i64>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client starts at `now_ns` on the monotonic clock: tasks have made progress until now.
    pub fn restart(&self, now_ns: i64) {
        let mut state = self.lock();
        let mut marks = std::mem::take(&mut state.marks);
        marks.retain(|(task, _)| *task != Task::EventLoop);
        for (_, last_ns) in &mut marks {
            *last_ns = now_ns;
        }
        *state = State { since_ns: now_ns, marks, ..State::default() };
    }

    /// Records progress of `task` at `now_ns`, which ends an announced silence, unless it is the event
    /// loop's. Returns `None` if there are too many tasks.
    pub fn mark(&self, task: &Task, now_ns: i64) -> Option<Mark> {
        let State { marks, busy_until_ns, news_ns, .. } = &mut *self.lock();
        let before_ns = match marks.iter().position(|(known, _)| known == task) {
            Some(index) => std::mem::replace(&mut marks[index].1, now_ns),
            None if matches!(task, Task::Named(_)) && is_full(marks) => return None,
            None => {
                marks.push((task.clone(), now_ns));
                now_ns
            }
        };
        let ended = if *task == Task::EventLoop { None } else { busy_until_ns.take() };
        let ended = ended.filter(|until_ns| *until_ns > now_ns);
        let ended = ended.map(|until_ns| Silence { until_ns, news_ns: *news_ns });
        if ended.is_some() {
            *news_ns = Some(now_ns.saturating_add(SETTLE_NS));
        }
        Some(Mark { at_ns: now_ns, before_ns, ended })
    }

    /// Withdraws `mark`, unless another has replaced it: the progress is still to come, and so is
    /// the end of the silence. Returns whether the silence goes on, which is news if a beat has
    /// reported its end.
    pub fn withdraw(&self, task: &Task, mark: Mark) -> bool {
        let State { marks, busy_until_ns, news_ns, .. } = &mut *self.lock();
        let is_last = |(known, last_ns): &&mut (Task, i64)| known == task && *last_ns == mark.at_ns;
        let Some((_, last_ns)) = marks.iter_mut().find(is_last) else { return false };
        *last_ns = mark.before_ns;
        let Some(silence) = mark.ended.filter(|_| busy_until_ns.is_none()) else { return false };
        *busy_until_ns = Some(silence.until_ns);
        *news_ns = if news_ns.is_some() { silence.news_ns } else { Some(i64::MIN) };
        true
    }

    /// Forgets `task`, which has ended: the others make progress from `now_ns` on.
    pub fn forget(&self, task: &Task, now_ns: i64) {
        let State { marks, since_ns, .. } = &mut *self.lock();
        if let Some(index) = marks.iter().position(|(known, _)| known == task) {
            marks.remove(index);
            *since_ns = now_ns;
        }
    }

    /// Counts a failure.
    pub fn fail(&self) {
        self.lock().failures += 1;
    }

    /// Announces a silence until `until_ns`, which is news.
    pub fn announce_silence(&self, until_ns: i64) {
        let mut state = self.lock();
        (state.busy_until_ns, state.news_ns) = (Some(until_ns), Some(i64::MIN));
    }

    /// Returns the time of a beat for news that should not wait for the next slot.
    pub(super) fn news_ns(&self) -> Option<i64> {
        self.lock().news_ns
    }

    /// Records that the next beat carries the news.
    pub(super) fn clear_news(&self) {
        self.lock().news_ns = None;
    }

    /// Returns what a beat at `now_ns` says; if `from_start`, a lack of marks is an age, too.
    pub(super) fn summary(&self, now_ns: i64, from_start: bool) -> Summary {
        let state = self.lock();
        let oldest = state.marks.iter().min_by_key(|(_, last_ns)| *last_ns);
        let last_ns = match oldest {
            Some((_, last_ns)) => Some(*last_ns),
            None => from_start.then_some(state.since_ns),
        };
        let task = oldest.and_then(|(task, _)| match task {
            Task::Application => None,
            Task::EventLoop => Some(EVENT_LOOP.into()),
            Task::Named(name) => Some(name.clone()),
        });
        let left_ns = state.busy_until_ns.map(|until_ns| until_ns.saturating_sub(now_ns));
        Summary {
            age_ns: last_ns.map(|last_ns| now_ns.saturating_sub(last_ns).max(0)),
            task,
            failures: state.failures,
            busy_ns: left_ns.filter(|left_ns| *left_ns > 0),
        }
    }
}

/// Returns whether there is no room for another named task.
fn is_full(marks: &[(Task, i64)]) -> bool {
    marks.iter().filter(|(task, _)| matches!(task, Task::Named(_))).count() >= MAX_TASKS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Task {
        Task::Named(name.as_bytes().into())
    }

    /// Returns the age and the task of the oldest mark at 1000.
    fn oldest(progress: &Progress) -> Option<(i64, String)> {
        let Summary { age_ns, task, .. } = progress.summary(1000, false);
        Some((age_ns?, String::from_utf8(task.unwrap_or_default().into()).unwrap()))
    }

    #[test]
    fn the_oldest_task_decides_and_none_masks_another() {
        let progress = Progress::default();
        assert_eq!(oldest(&progress), None);
        for (task, at_ns, expected) in [
            (Task::EventLoop, 900, (100, "event-loop")),
            (Task::Application, 800, (200, "")),
            (named("poll"), 700, (300, "poll")),
            (named("poll"), 950, (200, "")),
            (Task::Application, 990, (100, "event-loop")),
        ] {
            progress.mark(&task, at_ns);
            assert_eq!(oldest(&progress), Some((expected.0, expected.1.to_owned())));
        }
        progress.forget(&Task::EventLoop, 990);
        assert_eq!(oldest(&progress), Some((50, "poll".to_owned())));
    }

    #[test]
    fn a_start_is_progress_of_every_task_but_the_event_loop() {
        let progress = Progress::default();
        progress.mark(&Task::EventLoop, 1);
        progress.mark(&named("poll"), 2);
        progress.fail();
        progress.announce_silence(5000);
        progress.restart(600);
        assert_eq!(oldest(&progress), Some((400, "poll".to_owned())));
        let Summary { failures, busy_ns, .. } = progress.summary(1000, false);
        assert_eq!((failures, busy_ns, progress.news_ns()), (0, None, None));
        let other = Progress::default();
        other.restart(600);
        assert_eq!(other.summary(1000, true).age_ns, Some(400), "it counts from the start");
        assert_eq!(other.summary(1000, false).age_ns, None);
    }

    #[test]
    fn the_end_of_the_last_task_is_progress() {
        let progress = Progress::default();
        progress.mark(&named("poll"), 700);
        progress.forget(&named("poll"), 900);
        progress.forget(&named("poll"), 950);
        assert_eq!(progress.summary(1000, true).age_ns, Some(100), "it ended once");
        assert_eq!(progress.summary(1000, false).age_ns, None);
    }

    #[test]
    fn only_progress_ends_a_silence() {
        let (progress, task) = (Progress::default(), named("restore"));
        let busy_ns = || progress.summary(1000, false).busy_ns;
        progress.announce_silence(5000);
        assert!(!progress.mark(&Task::EventLoop, 600).unwrap().ended_silence());
        for (reported, news_ns) in [(false, Some(i64::MIN)), (true, None)] {
            if reported {
                progress.clear_news();
            }
            let mark = progress.mark(&task, 700).unwrap();
            assert_eq!((mark.ended_silence(), busy_ns()), (true, None));
            assert_eq!(progress.news_ns(), Some(700 + SETTLE_NS));
            assert!(progress.withdraw(&task, mark));
            assert_eq!(busy_ns(), Some(4000), "the work is still to be done");
            assert_eq!(progress.news_ns(), news_ns, "as if nothing had happened");
        }
        let mark = progress.mark(&task, 700).unwrap();
        progress.clear_news();
        assert!(progress.withdraw(&task, mark));
        assert_eq!(progress.news_ns(), Some(i64::MIN), "a beat has reported the end");
        assert!(progress.mark(&task, 800).unwrap().ended_silence());
        assert!(!progress.withdraw(&task, mark), "another mark has replaced it");
        assert_eq!(busy_ns(), None);
        progress.announce_silence(850);
        assert!(!progress.mark(&task, 900).unwrap().ended_silence(), "it was over");
    }

    #[test]
    fn a_withdrawn_mark_leaves_the_one_before_it() {
        let (progress, task) = (Progress::default(), named("poll"));
        let first = progress.mark(&task, 500).unwrap();
        progress.withdraw(&task, first);
        assert_eq!(oldest(&progress), Some((500, "poll".to_owned())), "its time starts");
        let second = progress.mark(&task, 800).unwrap();
        progress.withdraw(&task, second);
        assert_eq!(oldest(&progress), Some((500, "poll".to_owned())));
        let third = progress.mark(&task, 850).unwrap();
        progress.mark(&task, 900);
        progress.withdraw(&task, third);
        assert_eq!(oldest(&progress), Some((100, "poll".to_owned())));
    }

    #[test]
    fn tasks_are_bounded() {
        let progress = Progress::default();
        progress.mark(&Task::Application, 0);
        let marked = (0..100).filter(|n| progress.mark(&named(&n.to_string()), 0).is_some());
        assert_eq!(marked.count(), MAX_TASKS);
        assert!(progress.mark(&named("1"), 0).is_some());
        progress.forget(&named("1"), 0);
        assert!(progress.mark(&named("another"), 0).is_some());
    }
}
