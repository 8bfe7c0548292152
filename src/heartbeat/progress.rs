//! Progress of an application, which reports it to its client from any thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most named tasks of an application.
pub const MAX_TASKS: usize = 64;

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
    /// When the client started: without any mark, progress counts from then.
    started_ns: i64,
    /// The last progress of each task.
    marks: Vec<(Task, i64)>,
    failures: u64,
    busy_until_ns: Option<i64>,
    /// Whether a silence was announced or ended that no beat has reported yet.
    news: bool,
}

/// A mark, with the one that it replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    at_ns: i64,
    before_ns: i64,
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
        *state = State { started_ns: now_ns, marks, ..State::default() };
    }

    /// Records progress of `task` at `now_ns`; `None` if there are too many tasks.
    pub fn mark(&self, task: &Task, now_ns: i64) -> Option<Mark> {
        let marks = &mut self.lock().marks;
        let before_ns = match marks.iter().position(|(known, _)| known == task) {
            Some(index) => std::mem::replace(&mut marks[index].1, now_ns),
            None if matches!(task, Task::Named(_)) && is_full(marks) => return None,
            None => {
                marks.push((task.clone(), now_ns));
                now_ns
            }
        };
        Some(Mark { at_ns: now_ns, before_ns })
    }

    /// Withdraws `mark`, unless another has replaced it: the progress is still to come.
    pub fn withdraw(&self, task: &Task, mark: Mark) {
        let Mark { at_ns, before_ns } = mark;
        for (known, last_ns) in &mut self.lock().marks {
            if known == task && *last_ns == at_ns {
                *last_ns = before_ns;
            }
        }
    }

    /// Forgets `task`, which has ended.
    pub fn forget(&self, task: &Task) {
        self.lock().marks.retain(|(known, _)| known != task);
    }

    /// Counts a failure.
    pub fn fail(&self) {
        self.lock().failures += 1;
    }

    /// Announces a silence until `until_ns`, which is news.
    pub fn announce_silence(&self, until_ns: i64) {
        let mut state = self.lock();
        (state.busy_until_ns, state.news) = (Some(until_ns), true);
    }

    /// Ends an announced silence. Returns whether there was one to end, which is news.
    pub fn end_silence(&self, now_ns: i64) -> bool {
        let mut state = self.lock();
        let ended = state.busy_until_ns.take().is_some_and(|until_ns| until_ns > now_ns);
        state.news |= ended;
        ended
    }

    /// Returns whether there is news that should not wait for the next beat's slot.
    pub(super) fn has_news(&self) -> bool {
        self.lock().news
    }

    /// Records that the next beat carries the news.
    pub(super) fn clear_news(&self) {
        self.lock().news = false;
    }

    /// Returns what a beat at `now_ns` says; if `from_start`, a lack of marks is an age, too.
    pub(super) fn summary(&self, now_ns: i64, from_start: bool) -> Summary {
        let state = self.lock();
        let oldest = state.marks.iter().min_by_key(|(_, last_ns)| *last_ns);
        let last_ns = match oldest {
            Some((_, last_ns)) => Some(*last_ns),
            None => from_start.then_some(state.started_ns),
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
        progress.forget(&Task::EventLoop);
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
        assert_eq!((failures, busy_ns, progress.has_news()), (0, None, false));
        progress.forget(&named("poll"));
        assert_eq!(progress.summary(1000, true).age_ns, Some(400), "it counts from the start");
        assert_eq!(progress.summary(1000, false).age_ns, None);
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
        progress.forget(&named("1"));
        assert!(progress.mark(&named("another"), 0).is_some());
    }
}
