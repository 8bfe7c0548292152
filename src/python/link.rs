//! `Link` and its models of impairment.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyString, PyTuple};

use crate::Result;
use crate::impair::{self, Corruption, Delay, Loss, Pattern, Rate};
use crate::python::args::{
    Argument, Int, Probability, Seconds, integer, items, number_within, range, wrong_type,
    wrong_value,
};
use crate::python::value::value;

value! {
    /// Loss in bursts: the Gilbert-Elliott model (Elliott 1963), as in
    /// `tc netem loss gemodel p r 1-h 1-k`.
    ///
    /// p: the probability, 0 to 1, that the good state turns bad after a packet.
    /// r: the probability that the bad state turns good after a packet; 1 - p if None.
    /// bad_loss: the probability of loss in the bad state (netem's 1-h).
    /// good_loss: the probability of loss in the good state (netem's 1-k).
    ///
    /// The steady loss is (bad_loss p + good_loss r) / (p + r). With the default bad_loss and
    /// good_loss it is p / (p + r), in bursts of 1 / r packets on average. Each client starts in
    /// the good state.
    ///
    /// Raises ValueError if an argument is out of range.
    GilbertElliott in "udpulse.impair" {
        /// The probability that the good state turns bad after a packet.
        p: Probability,
        /// The probability that the bad state turns good after a packet.
        r: Probability = None or Probability(1.0 - p.0),
        *,
        /// The probability of loss in the bad state.
        bad_loss: Probability = 1.0,
        /// The probability of loss in the good state.
        good_loss: Probability = 0.0,
    }
}

impl GilbertElliott {
    fn model(&self) -> Result<impair::GilbertElliott> {
        impair::GilbertElliott::new(self.p.0, self.r.0, self.bad_loss.0, self.good_loss.0)
    }
}

value! {
    /// Loss from a given or recorded pattern, followed by each client's packets from its start.
    ///
    /// lost: 1 to 16,777,216 values, one per packet: True or 1 if it is lost, False or 0 if not.
    ///     The pattern repeats.
    ///
    /// Raises ValueError if there are none or too many.
    LossPattern in "udpulse.impair" {
        /// The pattern, a tuple of bools: True for a lost packet.
        lost: Pattern,
    }
}

impl Argument for Pattern {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "truth values";
        if given.is_instance_of::<PyString>() {
            return Err(wrong_type(name, given, allowed));
        }
        let lost = items(name, given, Self::MAX, allowed, |item| match item.extract::<bool>() {
            Ok(lost) => Ok(lost),
            Err(_) => integer(name, item, 0..=1, allowed).map(|lost| lost == 1),
        })?;
        Ok(Self::new(lost)?)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.lost())?.into_any())
    }
}

value! {
    /// A uniformly distributed delay from low to high, in seconds.
    ///
    /// Raises ValueError if a number is not in 0 to 3600 or if high is less than low.
    Uniform in "udpulse.impair" {
        /// The shortest delay, in seconds.
        low: DelaySeconds,
        /// The longest delay, in seconds.
        high: DelaySeconds,
    } checked Uniform::model
}

impl Uniform {
    fn model(&self) -> Result<Delay> {
        Delay::Uniform(self.low.ns(), self.high.ns()).checked()
    }
}

value! {
    /// A normally distributed delay with this mean and standard deviation, in seconds. A draw below
    /// 0 becomes 0, one above 3600 becomes 3600.
    ///
    /// Raises ValueError if a number is not in 0 to 3600.
    Normal in "udpulse.impair" {
        /// The mean, in seconds.
        mean: DelaySeconds,
        /// The standard deviation, in seconds.
        deviation: DelaySeconds,
    }
}

value! {
    /// An exponentially distributed delay with this mean, in seconds, cut to 3600.
    ///
    /// Raises ValueError if the mean is not in 0 to 3600.
    Exponential in "udpulse.impair" {
        /// The mean, in seconds.
        mean: DelaySeconds,
    }
}

value! {
    /// A Pareto-distributed delay (type I): at least scale, in seconds, and longer than x with
    /// probability (scale / x) ** shape; cut to 3600.
    ///
    /// Raises ValueError if the scale is not in 0 to 3600 or the shape is not above 0.
    Pareto in "udpulse.impair" {
        /// The shortest delay, in seconds.
        scale: DelaySeconds,
        /// The exponent of the tail; a larger one makes it lighter.
        shape: f64,
    } checked Pareto::model
}

impl Pareto {
    fn model(&self) -> Result<Delay> {
        Delay::Pareto(self.scale.ns(), self.shape).checked()
    }
}

value! {
    /// Deliberate reordering: with probability p a packet is held back for `delay` more seconds, so
    /// that packets sent in that time overtake it.
    ///
    /// Raises ValueError if an argument is out of range.
    Reordering in "udpulse.impair" {
        /// The probability that a packet is held back.
        p: Probability,
        /// The length of the hold, in seconds.
        delay: Seconds,
    }
}

impl Reordering {
    fn model(&self) -> Result<impair::Reordering> {
        impair::Reordering::new(self.p.0, self.delay.ns())
    }
}

value! {
    /// A rate limit with a bounded queue: a packet that finds no room in the queue is lost.
    ///
    /// bits_per_second: a whole number, 1 or more. A packet counts as its payload and 28 bytes of
    ///     IPv4 and UDP headers.
    /// queue: the capacity of the queue in bytes, 0 to 2**32 - 1, for all unsent bytes: the unsent
    ///     part of the packet in transmission counts too. An idle link accepts any packet.
    ///
    /// Raises ValueError if an argument is out of range.
    RateLimit in "udpulse.impair" {
        /// The rate, in bits per second, headers included.
        bits_per_second: BitsPerSecond,
        *,
        /// The capacity of the queue, in bytes.
        queue: Int<u32, 0, { u32::MAX as u64 }> = 65536,
    }
}

impl RateLimit {
    fn model(&self) -> Result<Rate> {
        Rate::new(self.bits_per_second.0, self.queue.0)
    }
}

value! {
    /// One link of a path. Its impairments apply in the order of the list; random choices are drawn
    /// packet by packet, and rate and order are decided when a packet enters the link.
    ///
    /// loss: a probability from 0 to 1; "lab" (lost if a random integer from 0 to 10 is less than
    ///     4, 36.36 %); a GilbertElliott; or a LossPattern.
    /// max_burst: the most losses in a row, 0 to 2**32 - 1: the next packet passes. None for no limit.
    /// duplication: the probability that a packet arrives twice; the impairments below apply to
    ///     each copy independently.
    /// corruption: the probability that one random bit of the payload is flipped; an empty payload
    ///     stays unchanged.
    /// mtu: the longest packet that passes, 28 to 2**32 - 1 bytes with 28 of IPv4 and UDP headers; a
    ///     longer one is lost. None for no limit.
    /// rate: a RateLimit, or None.
    /// delay: seconds from 0 to 3600, or a Uniform, Normal, Exponential or Pareto.
    /// keep_order: whether a packet waits for earlier ones even if its own delay is over.
    /// reordering: a Reordering, which applies regardless of keep_order, or None.
    ///
    /// Each client has its own state of the link, queue and random choices.
    ///
    /// Raises ValueError if an argument is out of range.
    Link in "udpulse.impair" {
        *,
        /// The model of loss.
        loss: LossArg = 0.0,
        /// The most losses in a row; None for no limit.
        max_burst: Option<Int<u32, 0, { u32::MAX as u64 }>> = None,
        /// The probability that a packet arrives twice.
        duplication: Probability = 0.0,
        /// The probability that a bit of the payload is flipped.
        corruption: Probability = 0.0,
        /// The longest packet that passes, in bytes with headers; None for no limit.
        mtu: Option<Int<u32, 28, { u32::MAX as u64 }>> = None,
        /// The rate limit; None for no limit.
        rate: Option<RateLimit> = None,
        /// The delay, in seconds, or its distribution.
        delay: DelayArg = 0.0,
        /// Whether a packet waits for earlier ones even if its own delay is over.
        keep_order: bool = False,
        /// The deliberate reordering; None for none.
        reordering: Option<Reordering> = None,
    }, hint "jitter": "delay=Normal(mean, deviation) varies the delay"
}

impl Link {
    pub(super) fn model(&self) -> Result<impair::Link> {
        Ok(impair::Link {
            loss: self.loss.model()?,
            max_burst: self.max_burst.map(|most| most.0),
            duplication: self.duplication.0,
            corruption: Corruption::new(self.corruption.0)?,
            mtu: self.mtu.map(|mtu| mtu.0),
            rate: self.rate.as_ref().map(RateLimit::model).transpose()?,
            delay: self.delay.model()?,
            keep_order: self.keep_order,
            reordering: self
                .reordering
                .as_ref()
                .map(Reordering::model)
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// A number of seconds from 0 to 3600.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct DelaySeconds(f64);

impl DelaySeconds {
    fn ns(self) -> f64 {
        self.0 * 1e9
    }
}

impl Argument for DelaySeconds {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        number_within(name, given, 0.0..=3600.0, "a number of seconds from 0 to 3600").map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A rate; a float with a whole value, such as 1e6, is accepted too.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct BitsPerSecond(u64);

impl Argument for BitsPerSecond {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = format!("a whole number from {}", range(1, u64::MAX));
        let whole = match given.cast::<PyFloat>() {
            Ok(rate) if rate.value().fract() == 0.0 => given.call_method0("__int__")?,
            Ok(_) => return Err(wrong_value(name, given, &allowed)),
            Err(_) => given.clone(),
        };
        integer(name, &whole, 1..=u64::MAX, &allowed).map(Self)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.into_bound_py_any(py)
    }
}

/// A loss as Python names it.
#[derive(Clone, PartialEq)]
pub(super) enum LossArg {
    Probability(f64),
    Lab,
    Bursts(GilbertElliott),
    Pattern(LossPattern),
}

impl Argument for LossArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a probability from 0 to 1, 'lab', a GilbertElliott or a LossPattern";
        if let Ok(bursts) = Argument::read(name, given) {
            return Ok(Self::Bursts(bursts));
        }
        if let Ok(pattern) = Argument::read(name, given) {
            return Ok(Self::Pattern(pattern));
        }
        if let Ok(word) = given.extract::<String>() {
            let lab = (word == "lab").then_some(Self::Lab);
            return lab.ok_or_else(|| wrong_value(name, given, allowed));
        }
        number_within(name, given, 0.0..=1.0, allowed).map(Self::Probability)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Probability(p) => p.show(py),
            Self::Lab => "lab".into_bound_py_any(py),
            Self::Bursts(bursts) => bursts.show(py),
            Self::Pattern(pattern) => pattern.show(py),
        }
    }
}

impl LossArg {
    pub(super) fn model(&self) -> Result<Loss> {
        match self {
            Self::Probability(0.0) => Ok(Loss::Never),
            Self::Probability(p) => Loss::bernoulli("loss", *p),
            Self::Lab => Ok(Loss::Lab),
            Self::Bursts(bursts) => bursts.model().map(Loss::GilbertElliott),
            Self::Pattern(pattern) => Ok(Loss::Pattern(pattern.lost.clone())),
        }
    }
}

/// A delay as Python names it.
#[derive(Clone, PartialEq)]
pub(super) enum DelayArg {
    Fixed(f64),
    Uniform(Uniform),
    Normal(Normal),
    Exponential(Exponential),
    Pareto(Pareto),
}

impl Argument for DelayArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Uniform(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Normal(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Exponential(delay));
        }
        if let Ok(delay) = Argument::read(name, given) {
            return Ok(Self::Pareto(delay));
        }
        let allowed =
            "a number of seconds from 0 to 3600, a Uniform, a Normal, an Exponential or a Pareto";
        number_within(name, given, 0.0..=3600.0, allowed).map(Self::Fixed)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Fixed(seconds) => seconds.show(py),
            Self::Uniform(delay) => delay.show(py),
            Self::Normal(delay) => delay.show(py),
            Self::Exponential(delay) => delay.show(py),
            Self::Pareto(delay) => delay.show(py),
        }
    }
}

impl DelayArg {
    pub(super) fn model(&self) -> Result<Delay> {
        match self {
            Self::Fixed(0.0) => Ok(Delay::None),
            Self::Fixed(seconds) => Delay::Fixed(seconds * 1e9).checked(),
            Self::Uniform(delay) => delay.model(),
            Self::Normal(delay) => Delay::Normal(delay.mean.ns(), delay.deviation.ns()).checked(),
            Self::Exponential(delay) => Delay::Exponential(delay.mean.ns()).checked(),
            Self::Pareto(delay) => delay.model(),
        }
    }
}
