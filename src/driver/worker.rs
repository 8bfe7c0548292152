//! The driver: a state machine joined to a socket on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::driver::capture::{Capture, Writer};
use crate::driver::event_loop::run;
use crate::driver::lookup::{Names, look_up};
use crate::net::{DropGauge, Interrupter, Notifier, Socket, Waker, now};
use crate::{Error, Machine, Observed, Result, Stamp};

/// A running machine. Any thread may look at it, wait for its events and stop it.
#[derive(Debug)]
pub struct Worker<M: Observed> {
    shared: Arc<Shared<M>>,
    /// An interrupter may hold its socket open, so both are dropped together.
    threads: Mutex<Vec<(Interrupter, JoinHandle<()>)>>,
    address: SocketAddr,
    peer: SocketAddr,
    /// The process of the threads; a forked child has none.
    process: u32,
    started: Stamp,
    capture: Option<Arc<Capture>>,
}

/// The result of a wait for an event.
#[derive(Debug)]
pub enum Next<E> {
    /// The oldest unread event.
    Event(E),
    /// The machine ended and all its events were read.
    Ended,
    /// The machine failed: a defect of this crate.
    Failed,
    /// Nothing happened in time.
    Nothing,
}

/// A machine shared between threads.
#[derive(Debug)]
pub(crate) struct Shared<M> {
    machine: Mutex<M>,
    changed: Condvar,
    /// The number of threads that wait for `changed`. To add one, hold `machine`.
    waiters: AtomicUsize,
    /// One-shot wakeups for the next change. To add one, hold `machine`.
    waiting: Mutex<Vec<Weak<Notifier>>>,
    /// The number of threads that have not ended; 0 if one failed.
    working: AtomicUsize,
    failed: AtomicBool,
    /// Whether the system refuses datagrams for the machine.
    refusing: AtomicBool,
    /// The error code of the last send that failed; 0 if none did.
    send_error: AtomicI32,
    /// Unset if nobody prompts the driver.
    waker: OnceLock<Waker>,
    /// The drops of the machine's sockets.
    gauges: Vec<DropGauge>,
    /// The machine's servers, for lookups by threads that may outlive it.
    names: Arc<Names>,
    this: Weak<Self>,
}

impl<M: Machine> Worker<M> {
    /// Serves `machine`, whose servers are `names` and which sends to `peer` first, through one socket
    /// that can be woken.
    ///
    /// # Errors
    /// [`Error::Io`] if the system refuses a thread.
    pub fn start(socket: Socket, peer: SocketAddr, machine: M, names: Names) -> Result<Self> {
        let ends = (socket.local_address(), peer);
        let (interrupter, waker) = (socket.interrupter(), socket.waker());
        let run = move |shared: &Shared<M>| run(shared, 0, socket, false, None);
        let worker = Self::spawn(machine, names, ends, [(interrupter, run)])?;
        worker.set_waker(waker);
        // A lookup may have ended before.
        worker.prompt();
        Ok(worker)
    }
}

impl<M: Observed> Worker<M> {
    /// Sets the waker of the driver.
    pub(super) fn set_waker(&self, waker: Waker) {
        let _ = self.shared.waker.set(waker);
    }

    /// Wakes the driver so that it polls the machine now.
    pub fn prompt(&self) {
        if !self.is_elsewhere() {
            self.shared.prompt();
        }
    }

    /// Spawns one thread per entry of `runs`, all sharing `machine`; `names` are its servers, and
    /// `ends` the addresses of its first socket.
    pub(crate) fn spawn<R: FnOnce(&Shared<M>) + Send + 'static>(
        machine: M,
        names: Names,
        (address, peer): (SocketAddr, SocketAddr),
        runs: impl IntoIterator<Item = (Interrupter, R)>,
    ) -> Result<Self> {
        let runs: Vec<_> = runs.into_iter().collect();
        let gauges = runs.iter().map(|(interrupter, _)| interrupter.drop_gauge()).collect();
        let shared = Shared::new(machine, names, gauges);
        let ours = Arc::clone(&shared);
        // If a thread cannot be started, dropping the worker stops the others.
        let (threads, process) = (Mutex::default(), process::id());
        let started = now();
        let capture = None;
        let worker = Self { shared, threads, address, peer, process, started, capture };
        for (interrupter, run) in runs {
            let shared = Arc::clone(&ours);
            let thread = thread::Builder::new()
                .name("udpulse".to_owned())
                .spawn(move || run(EndOnDrop(&shared).0))
                .map_err(Error::io("start a thread for", address))?;
            worker.threads().push((interrupter, thread));
        }
        Ok(worker)
    }

    /// Sets the capture of the machine's packets.
    pub(super) fn with_capture(mut self, writer: Option<Arc<Writer>>) -> Self {
        self.capture = writer.map(|writer| writer.capture());
        self
    }

    /// Returns the capture of the machine's packets, if there is one; a forked child has none.
    pub fn capture(&self) -> Option<&Capture> {
        self.capture.as_deref().filter(|_| !self.is_elsewhere())
    }

    /// Returns when the threads were started.
    pub fn started(&self) -> Stamp {
        self.started
    }

    /// Returns the address that the socket is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the remote address of a client's machine; a server's is its own.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns whether the machine is still running.
    pub fn is_running(&self) -> bool {
        !self.is_elsewhere() && self.shared.working.load(Ordering::Acquire) > 0
    }

    /// Returns whether this process is a forked child of the one with the threads.
    pub fn is_elsewhere(&self) -> bool {
        process::id() != self.process
    }

    /// Returns whether the machine failed: a defect of this crate.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Returns the error of the last send that failed.
    pub fn send_error(&self) -> Option<io::Error> {
        let code = self.shared.send_error.load(Ordering::Acquire);
        (code != 0).then(|| io::Error::from_raw_os_error(code))
    }

    /// Calls `look` with the machine, between two of its steps. Returns `None` in a forked child if
    /// a step was in progress at the fork: there it never ends.
    pub fn look<R>(&self, look: impl FnOnce(&mut M) -> R) -> Option<R> {
        let mut machine = self.lock()?;
        if !self.is_elsewhere() {
            self.shared.count_drops(&mut machine);
        }
        Some(look(&mut machine))
    }

    /// Locks the machine between two of its steps; `None` if that moment never comes.
    fn lock(&self) -> Option<MutexGuard<'_, M>> {
        if self.is_elsewhere() {
            return self.shared.machine.try_lock().ok();
        }
        Some(self.shared.lock())
    }

    /// Waits up to `patience` for an event.
    pub fn next_event(&self, patience: Duration) -> Next<M::Event> {
        let Some(guard) = self.lock() else { return Next::Ended };
        let mut machine = self.shared.wait_while(guard, patience, |machine| {
            machine.unread().is_empty() && self.is_running()
        });
        self.next(&mut machine)
    }

    /// Returns the next event without waiting. If there is [`Nothing`](Next::Nothing), raises
    /// `notifier` at the next change.
    pub fn poll_event(&self, notifier: &Arc<Notifier>) -> Next<M::Event> {
        let Some(mut machine) = self.lock() else { return Next::Ended };
        let next = self.next(&mut machine);
        if matches!(next, Next::Nothing) {
            self.shared.wake_later(notifier);
        }
        next
    }

    /// Returns whether the machine has ended. If not, raises `notifier` at the next change.
    pub fn poll_end(&self, notifier: &Arc<Notifier>) -> bool {
        let Some(_machine) = self.lock() else { return true };
        if self.is_running() {
            self.shared.wake_later(notifier);
        }
        !self.is_running()
    }

    fn next(&self, machine: &mut M) -> Next<M::Event> {
        match machine.unread().pop() {
            Some(event) => Next::Event(event),
            None if self.is_running() => Next::Nothing,
            None if self.has_failed() => Next::Failed,
            None => Next::Ended,
        }
    }

    /// Waits up to `patience` for the end. Returns whether it has come.
    pub fn wait(&self, patience: Duration) -> bool {
        let Some(guard) = self.lock() else { return true };
        drop(self.shared.wait_while(guard, patience, |_| self.is_running()));
        !self.is_running()
    }

    /// Waits up to `patience` until the system refuses datagrams for the machine. Returns whether it
    /// does, or the machine has ended.
    pub fn wait_refusing(&self, patience: Duration) -> bool {
        let Some(guard) = self.lock() else { return true };
        let waits = |_: &mut M| self.is_running() && !self.shared.is_refusing();
        drop(self.shared.wait_while(guard, patience, waits));
        !self.is_running() || self.shared.is_refusing()
    }

    /// Starts to [`stop`](Self::stop) and returns immediately.
    pub fn begin_stop(&self) {
        // If another thread has the lock, it is stopping already.
        if let Some(threads) = self.threads.try_lock().ok().filter(|_| !self.is_elsewhere()) {
            threads.iter().for_each(|(interrupter, _)| interrupter.interrupt());
        }
    }

    /// Stops the machine after its farewell, if it says one. Returns when its threads have ended and its sockets are closed.
    pub fn stop(&self) {
        if self.is_elsewhere() {
            // The threads are the parent's, and one of them may have held the lock at the fork.
            return;
        }
        let mut threads = self.threads();
        threads.iter().for_each(|(interrupter, _)| interrupter.interrupt());
        for (_, thread) in threads.drain(..) {
            // The only error is a panic of the thread, which has been reported by then.
            let _ = thread.join();
        }
        // Whoever reads a gauge still has the lock, and keeps the socket open.
        drop(self.shared.lock());
    }

    fn threads(&self) -> MutexGuard<'_, Vec<(Interrupter, JoinHandle<()>)>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Observed> Drop for Worker<M> {
    fn drop(&mut self) {
        self.stop();
        if self.is_elsewhere() {
            // Nothing may touch the handles: the system has reused the memory of the threads.
            let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(threads).into_iter().for_each(std::mem::forget);
        }
    }
}

impl<M> Shared<M> {
    /// Shares `machine` between its readers and threads, one for each of its sockets.
    pub(super) fn new(machine: M, names: Names, gauges: Vec<DropGauge>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            machine: Mutex::new(machine),
            changed: Condvar::new(),
            waiters: AtomicUsize::new(0),
            waiting: Mutex::default(),
            working: AtomicUsize::new(gauges.len()),
            gauges,
            failed: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            send_error: AtomicI32::new(0),
            waker: OnceLock::new(),
            names: Arc::new(names),
            this: Weak::clone(this),
        })
    }

    /// Locks the machine.
    pub(crate) fn lock(&self) -> MutexGuard<'_, M> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits up to `patience` for changes while `condition` holds.
    fn wait_while<'a>(
        &self,
        machine: MutexGuard<'a, M>,
        patience: Duration,
        condition: impl FnMut(&mut M) -> bool,
    ) -> MutexGuard<'a, M> {
        self.waiters.fetch_add(1, Ordering::AcqRel);
        let (machine, _) = self
            .changed
            .wait_timeout_while(machine, patience, condition)
            .unwrap_or_else(PoisonError::into_inner);
        self.waiters.fetch_sub(1, Ordering::AcqRel);
        machine
    }

    /// Passes the drops of all open sockets to the machine.
    fn count_drops(&self, machine: &mut M)
    where
        M: Observed,
    {
        for (socket, gauge) in self.gauges.iter().enumerate() {
            if let Some(total) = gauge.read() {
                machine.count_drops(socket, total);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Weak<Notifier>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Schedules `notifier` for the next change. The caller holds the machine's lock.
    fn wake_later(&self, notifier: &Arc<Notifier>) {
        let (mut waiting, notifier) = (self.waiting(), Arc::downgrade(notifier));
        // Abandoned waits must leave nothing behind.
        waiting.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&notifier));
        waiting.push(notifier);
    }

    pub(super) fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// The system refuses datagrams for the machine from now on, or does not: tells waiters.
    pub(super) fn set_refusing(&self, refusing: bool) {
        let machine = self.lock();
        self.refusing.store(refusing, Ordering::Release);
        self.changed.notify_all();
        drop(machine);
    }

    /// Records the error code of a send, if there is one.
    pub(super) fn record_send_error(&self, error: Option<i32>) {
        if let Some(code) = error {
            self.send_error.store(code, Ordering::Release);
        }
    }

    /// Starts lookups of the names of these servers.
    pub(super) fn look_up(&self, servers: Vec<usize>)
    where
        M: Machine,
    {
        look_up(&self.this, &self.names, servers);
    }

    /// Wakes the driver so that it polls the machine now.
    pub(super) fn prompt(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    /// Wakes all waiting threads and event loops.
    pub(crate) fn wake(&self) {
        // A notification is a system call even if nobody waits.
        if self.waiters.load(Ordering::Acquire) > 0 {
            self.changed.notify_all();
        }
        for notifier in self.waiting().drain(..).filter_map(|notifier| notifier.upgrade()) {
            notifier.raise();
        }
    }
}

/// A guard that notifies waiters of the end, even if the thread panics.
struct EndOnDrop<'a, M: Observed>(&'a Shared<M>);

impl<M: Observed> Drop for EndOnDrop<'_, M> {
    fn drop(&mut self) {
        // Hold the lock: a waiter is then either before its check or already asleep.
        let mut machine = self.0.lock();
        if !thread::panicking() {
            // The sockets are closed soon.
            self.0.count_drops(&mut machine);
        }
        let working = self.0.working.load(Ordering::Acquire);
        let left = if thread::panicking() { 0 } else { working.saturating_sub(1) };
        self.0.failed.fetch_or(thread::panicking(), Ordering::Release);
        self.0.working.store(left, Ordering::Release);
        if left == 0 {
            self.0.wake();
        }
        drop(machine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zone;
    use crate::heartbeat::{BeatFormat, Client, ClientConfig};
    use crate::wire::Template;

    #[test]
    fn a_forked_child_does_not_wait_for_the_parents_threads() {
        let config = ClientConfig {
            servers: Vec::new(),
            interval_ns: 1,
            spread: 0.0,
            count: None,
            fail_at: None,
            fail_chance: 0.0,
            loss: 0.0,
            goodbye: false,
            broadcast: false,
            seed: None,
            unheard_after: None,
            format: BeatFormat::Template(Template::heartbeat()),
            zone: Zone::default(),
            events: 1,
        };
        let ends = (SocketAddr::from(([127, 0, 0, 1], 1)), SocketAddr::from(([127, 0, 0, 1], 2)));
        let no_runs = std::iter::empty::<(Interrupter, fn(&Shared<Client>))>();
        let mut worker =
            Worker::spawn(Client::new(config), Names::default(), ends, no_runs).unwrap();
        worker.process += 1;
        let stopping = worker.threads();
        worker.stop();
        drop(stopping);
        let shared = Arc::clone(&worker.shared);
        let step = shared.lock();
        assert_eq!(worker.look(|_| ()), None);
        let (notifier, _receiver) = Notifier::pair().unwrap();
        assert!(matches!(worker.next_event(Duration::MAX), Next::Ended));
        assert!(matches!(worker.poll_event(&Arc::new(notifier)), Next::Ended));
        assert!(worker.wait(Duration::MAX));
        drop(step);
        assert_eq!(worker.look(|_| ()), Some(()));
    }
}
