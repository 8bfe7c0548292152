//! `Step`, `StepDone` and timelines.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyRange, PyString, PyTuple, PyType};

use crate::path::{self, Action, Done, Kind, MAX_STEPS, OutageMode, When};
use crate::python::args::{
    Argument, Count, Int, Word, Words, items, number_within, wrong_type, wrong_value,
};
use crate::python::fates::Fate;
use crate::python::link::Link;
use crate::python::paths::{Client, Ways, check_outage, check_refusal};
use crate::python::relay::SessionEnded;
use crate::python::value::{address, value};
use crate::{Error, Result, nanoseconds, seconds};

/// The shortest period of a loop, in seconds.
const LEAST_PERIOD: f64 = 1e-3;

impl Words for Kind {
    const WORDS: &'static [(&'static str, Self)] = &Self::ALL;
}

value! {
    /// A step of a timeline of an EchoServer, a Relay or a StampReflector: a change and its moment.
    ///
    /// action: "set" replaces links; "outage" starts an outage; "rebind" replaces ports at the
    ///     upstream (Relay); "loop", the last step, begins the timeline again.
    /// at: when, in seconds from 0 to 9.2e9 since the start; of a timeline that began again, since
    ///     then.
    /// at_packet: before the decision about which packet, counted from 1 over all that come: the same
    ///     packets meet the same changes, however fast they come. Without `at` and `at_packet` the
    ///     step is taken at the start or, added later, now.
    /// client: the (host, port), the host an IP address, whose links "set" and whose port "rebind"
    ///     replaces; None for all.
    /// uplink, downlink: the Link that "set" sets in each direction; None leaves it as it is.
    /// duration: the length of the "outage", in seconds from 0 to 9.2e9; None until another replaces
    ///     it. One of 0 only ends the one before.
    /// mode: the effect of the "outage", as of the method `outage`: "drop", "hold" or "refuse"; None
    ///     for "drop".
    /// way: the links of the "outage": "uplink", "downlink" or "both"; None for "both".
    ///
    /// Raises ValueError if an argument is out of range, missing or not for the action.
    Step in "udpulse.impair" {
        /// The change: "set", "outage", "rebind" or "loop".
        action: Word<Kind>,
        *,
        /// When, in seconds since the start.
        at: Option<Moment> = None,
        /// Before which packet, from 1.
        at_packet: Option<Count> = None,
        /// The (host, port) of the client; None for all.
        client: Option<Client> = None,
        /// The link to the server; None leaves it as it is.
        uplink: Option<Link> = None,
        /// The link back; None leaves it as it is.
        downlink: Option<Link> = None,
        /// The length of the outage, in seconds.
        duration: Option<Moment> = None,
        /// The effect of the outage; None for "drop".
        mode: Option<Word<OutageMode>> = None,
        /// The links of the outage; None for "both".
        way: Option<Word<Ways>> = None,
    } checked Step::check
}

value! {
    /// A step that an EchoServer, a Relay or a StampReflector took.
    StepDone in "udpulse.reports" {
        *,
        /// Its number among all steps taken, from 1.
        number: u64,
        /// Its place in the timeline, from 0; steps that were added follow in order of addition.
        index: usize,
        /// How often the timeline had begun again.
        round: u64 = 0,
        /// The change: "set", "outage", "rebind" or "loop".
        action: Word<Kind>,
        /// The moment from which the change holds, in seconds since the Unix epoch.
        time: f64,
        /// The number of packets that came before.
        received: u64,
        /// The number of clients present that it changed; None for an outage and a loop.
        clients: Option<usize> = None,
    }
}

impl From<&Done> for StepDone {
    fn from(done: &Done) -> Self {
        let Done { number, index, round, kind, at, received, clients } = *done;
        let (action, time) = (Word(kind), seconds(at.wall_ns));
        Self { number, index, round, action, time, received, clients }
    }
}

/// An event of an `EchoServer` or a `Relay`. Steps are among them only if they become lines.
#[derive(IntoPyObject)]
pub(super) enum PathEvent {
    Fate(Fate),
    Step(StepDone),
    Ended(SessionEnded),
}

impl From<path::Event> for PathEvent {
    fn from(event: path::Event) -> Self {
        match event {
            path::Event::Fate(fate) => Self::Fate(fate.into()),
            path::Event::Step(done) => Self::Step((&done).into()),
            path::Event::Ended(ended) => Self::Ended(ended.into()),
            path::Event::Record(never) => match never {},
        }
    }
}

impl Step {
    /// Refuses fields that are not for the action, and missing ones.
    fn check(&self) -> Result<()> {
        let Word(kind) = self.action;
        let word = self.action.word().unwrap_or_default();
        if self.at.is_some() && self.at_packet.is_some() {
            return Err(Error::argument("at", "given", "left out beside at_packet"));
        }
        let others = [
            ("client", self.client.is_some(), matches!(kind, Kind::Set | Kind::Rebind)),
            ("uplink", self.uplink.is_some(), kind == Kind::Set),
            ("downlink", self.downlink.is_some(), kind == Kind::Set),
            ("duration", self.duration.is_some(), kind == Kind::Outage),
            ("mode", self.mode.is_some(), kind == Kind::Outage),
            ("way", self.way.is_some(), kind == Kind::Outage),
        ];
        if let Some((name, ..)) = others.iter().find(|(_, is_given, is_for)| *is_given && !is_for) {
            let fits = others.iter().filter(|(.., is_for)| *is_for).map(|(name, ..)| *name);
            let allowed = ["at", "at_packet"].into_iter().chain(fits).collect::<Vec<_>>();
            let allowed = format!("left out of '{word}', which has {}", allowed.join(", "));
            return Err(Error::argument(name, "given", allowed));
        }
        match kind {
            Kind::Set if self.uplink.is_none() && self.downlink.is_none() => {
                Err(Error::argument("uplink", "missing", "given, or downlink, with 'set'"))
            }
            Kind::Outage => check_refusal(self.outage_mode(), self.ways()),
            // A round without time or packets would never end.
            Kind::Loop => match (self.at, self.at_packet) {
                (Some(at), _) if at.0 < LEAST_PERIOD => {
                    Err(Error::number("at", at.0, "at least 0.001 with 'loop'"))
                }
                (_, Some(Int(packet @ ..2))) => {
                    Err(Error::argument("at_packet", packet, "at least 2 with 'loop'"))
                }
                (None, None) => {
                    Err(Error::argument("at", "missing", "given, or at_packet, with 'loop'"))
                }
                _ => Ok(()),
            },
            Kind::Set | Kind::Rebind => Ok(()),
        }
    }

    /// Refuses a step that a server with several threads or without an upstream cannot take.
    pub(super) fn check_at_server(&self, threads: usize) -> Result<()> {
        if self.action.0 == Kind::Rebind {
            return Err(Error::argument("action", "'rebind'", "'set', 'outage' or 'loop'"));
        }
        self.outage().map_or(Ok(()), |(mode, ways)| check_outage(mode, ways, threads))
    }

    /// Returns the mode and the ways of an outage.
    pub(super) fn outage(&self) -> Option<(OutageMode, [bool; 2])> {
        (self.action.0 == Kind::Outage).then(|| (self.outage_mode(), self.ways()))
    }

    fn outage_mode(&self) -> OutageMode {
        self.mode.map_or(OutageMode::Drop, |mode| mode.0)
    }

    fn ways(&self) -> [bool; 2] {
        self.way.map_or([true, true], |way| way.0.0)
    }

    /// Returns the step of a machine.
    pub(super) fn model(&self) -> Result<path::Step> {
        let link = |link: &Option<Link>| link.as_ref().map(Link::model).transpose();
        let client = self.client.map(|client| client.0);
        let action = match self.action.0 {
            Kind::Set => {
                Action::Set { links: [link(&self.uplink)?, link(&self.downlink)?].into(), client }
            }
            Kind::Outage => Action::Outage {
                ways: self.ways(),
                mode: self.outage_mode(),
                duration_ns: self.duration.map(Moment::ns),
            },
            Kind::Rebind => Action::Rebind { client },
            Kind::Loop => Action::Loop,
        };
        let when = match (self.at, self.at_packet) {
            (_, Some(packet)) => When::Packet(packet.0),
            (at, None) => When::Time(at.map_or(0, Moment::ns)),
        };
        Ok(path::Step { when, action })
    }

    /// Reads a step: a `Step`, or a dict with its fields.
    fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Ok(dict) = given.cast::<PyDict>() else {
            let allowed = "a Step or a dict with its fields";
            return Self::read("step", given).map_err(|_| wrong_type("step", given, allowed));
        };
        if !dict.contains("action")? {
            let words = "'set', 'outage', 'rebind' or 'loop'";
            return Err(Error::argument("action", "missing", words).into());
        }
        let built = built("Step", dict, 0).map_err(|error| under(dict.py(), "", error))?;
        Ok(built.cast_into::<Self>()?.get().clone())
    }
}

/// A time of 0 or more seconds.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Moment(f64);

impl Moment {
    fn ns(self) -> i64 {
        nanoseconds(self.0).unwrap_or(i64::MAX)
    }
}

impl Argument for Moment {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        number_within(name, given, 0.0..=9.2e9, "0 to 9.2e9 seconds").map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// Returns the names of the models that a JSON object can describe by its `type`.
fn models(py: Python<'_>) -> PyResult<Vec<String>> {
    let impair = py.import("udpulse.impair")?;
    let names: Vec<String> = impair.getattr("__all__")?.extract()?;
    let is_model = |name: &String| {
        let is_class =
            || impair.getattr(name.as_str()).is_ok_and(|it| it.is_instance_of::<PyType>());
        name.starts_with(char::is_uppercase) && name != "Step" && name != "LinkOutage" && is_class()
    };
    Ok(names.into_iter().filter(is_model).collect())
}

/// Builds the value that a dict, as from JSON, describes: one of `class` or, if that is empty, of the
/// class under the key `type`. It is within `level` others.
fn built<'py>(class: &str, dict: &Bound<'py, PyDict>, level: u8) -> PyResult<Bound<'py, PyAny>> {
    let (py, fields) = (dict.py(), PyDict::new(dict.py()));
    let mut class = class.to_owned();
    for (key, value) in dict {
        let Ok(name) = key.extract::<String>() else {
            return Err(wrong_type("its keys", &key, "str"));
        };
        if name == "type" {
            let known = if class.is_empty() { models(py)? } else { vec![class] };
            let kind = value.extract::<String>().ok().filter(|kind| known.contains(kind));
            class = kind.ok_or_else(|| wrong_value("type", &value, &known.join(", ")))?;
            continue;
        }
        let inner = match &*name {
            "client" => pair(value)?,
            "uplink" | "downlink" => converted("Link", value, &name, level)?,
            "rules" => converted("Rule", value, &name, level)?,
            _ => converted("", value, &name, level)?,
        };
        fields.set_item(name, inner)?;
    }
    if class.is_empty() {
        return Err(Error::argument("type", "missing", models(py)?.join(", ")).into());
    }
    let value = py.import("udpulse._core")?.getattr(class)?.call((), Some(&fields));
    value.map_err(|error| under(py, "", error))
}

/// Converts a value as JSON has it: dicts become values, also in lists, or bytes, or ranges.
fn converted<'py>(
    class: &str,
    given: Bound<'py, PyAny>,
    place: &str,
    level: u8,
) -> PyResult<Bound<'py, PyAny>> {
    let py = given.py();
    if let Ok(list) = given.cast::<PyList>()
        && list.iter().any(|item| item.is_instance_of::<PyDict>())
    {
        let items = list.iter().enumerate();
        let items =
            items.map(|(index, item)| converted(class, item, &format!("{place}[{index}]"), level));
        return Ok(PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_any());
    }
    let Ok(dict) = given.cast::<PyDict>() else { return Ok(given) };
    let value = match (dict.len(), dict.get_item("hex")?, dict.get_item("range")?) {
        (1, Some(digits), _) => py.get_type::<PyBytes>().call_method1("fromhex", (digits,)),
        (1, _, Some(ends)) => ends.extract().and_then(|[first, end, step]: [i64; 3]| {
            py.get_type::<PyRange>().call1((first, end, step))
        }),
        // A step has links, and a link has models.
        _ if level == 2 => Err(wrong_type("it", &given, "a plain value")),
        _ => built(class, dict, level + 1),
    };
    value.map_err(|error| under(py, place, error))
}

/// Turns "host:port" into a pair, as lines of JSON have it.
fn pair(given: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let text = given.cast::<PyString>().ok().and_then(|text| text.to_str().ok()?.parse().ok());
    match text {
        Some(client) => address(client).into_bound_py_any(given.py()),
        None => Ok(given),
    }
}

/// Returns the error of a value in a dict or a list, which is a `ValueError`, with its `place`.
fn under(py: Python<'_>, place: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyValueError>(py) {
        let separator = if place.is_empty() { "" } else { ": " };
        return PyValueError::new_err(format!("{place}{separator}{}", error.value(py)));
    }
    error
}

/// The steps of a timeline.
pub(super) struct Timeline(Vec<Step>);

impl Timeline {
    /// Returns the steps of a machine that starts now.
    pub(super) fn model(&self, start_ns: i64, logged: bool) -> Result<path::Timeline> {
        let steps = self.0.iter().map(Step::model).collect::<Result<_>>()?;
        Ok(path::Timeline { steps, start_ns, logged })
    }

    /// Refuses steps that `check` refuses.
    pub(super) fn check(
        &self,
        py: Python<'_>,
        check: impl Fn(&Step) -> Result<()>,
    ) -> PyResult<()> {
        for (index, step) in self.0.iter().enumerate() {
            check(step).map_err(|error| under(py, &format!("timeline[{index}]"), error.into()))?;
        }
        Ok(())
    }
}

impl Argument for Timeline {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "steps, each a Step or a dict with its fields";
        if given.is_instance_of::<PyString>() || given.is_instance_of::<PyDict>() {
            return Err(wrong_type(name, given, allowed));
        }
        let index = std::cell::Cell::new(0);
        let steps = items(name, given, MAX_STEPS, allowed, |item| {
            let place = format!("{name}[{}]", index.replace(index.get() + 1));
            if !item.is_instance_of::<Step>() && !item.is_instance_of::<PyDict>() {
                return Err(wrong_type(name, item, allowed));
            }
            Step::of(item).map_err(|error| under(given.py(), &place, error))
        })?;
        check_loop(name, &steps)?;
        Ok(Self(steps))
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let steps: Vec<_> = self.0.iter().map(|step| step.show(py)).collect::<PyResult<_>>()?;
        Ok(PyTuple::new(py, steps)?.into_any())
    }
}

/// Refuses a loop before the last step, and steps that a loop would leave out.
fn check_loop(name: &str, steps: &[Step]) -> PyResult<()> {
    let error =
        |index: usize, text: &str| Err(PyValueError::new_err(format!("{name}[{index}]: {text}")));
    let Some((last, others)) = steps.split_last() else { return Ok(()) };
    let is_loop = |step: &Step| step.action.0 == Kind::Loop;
    if let Some(index) = others.iter().position(is_loop) {
        return error(index, "action must be another than 'loop' before the last step");
    }
    if !is_loop(last) {
        return Ok(());
    }
    for (index, step) in others.iter().enumerate() {
        let too_late = match (step.at, last.at, step.at_packet, last.at_packet) {
            (Some(at), Some(end), ..) => at.0 >= end.0,
            (.., Some(packet), Some(end)) => packet.0 >= end.0,
            _ => false,
        };
        if too_late {
            let name = if step.at.is_some() { "at" } else { "at_packet" };
            return error(index, &format!("{name} must be less than that of the 'loop'"));
        }
    }
    Ok(())
}

/// Reads a step that is added to a running object.
pub(super) fn added(given: &Bound<'_, PyAny>) -> PyResult<Step> {
    let step = Step::of(given)?;
    if step.action.0 == Kind::Loop {
        return Err(Error::argument("action", "'loop'", "'set', 'outage' or 'rebind'").into());
    }
    Ok(step)
}
