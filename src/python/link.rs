//! `Link` and the models that it takes.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::impair::{self, Corruption, Delay, Loss, Pattern, Rate};
use crate::python::args::{
    Argument, Integer, Seconds, duration_ns, items, number_within, object_argument, wrong_type,
    wrong_value,
};
use crate::{Result, probability};

/// Declares a Python class that holds a model, with a repr of what it was made of.
macro_rules! model {
    ($(#[$doc:meta])* $class:ident($model:ty) $new:item) => {
        $(#[$doc])*
        #[pyclass(frozen, eq, from_py_object, module = "udpulse.impair")]
        #[derive(Clone, PartialEq)]
        pub(super) struct $class {
            pub(super) model: $model,
            text: String,
        }

        #[pymethods]
        impl $class {
            #[new]
            $new

            fn __repr__(&self) -> String {
                format!("{}({})", stringify!($class), self.text)
            }
        }
    };
}

model! {
    /// Loss in bursts: the Gilbert-Elliott model, as `tc netem loss gemodel p r 1-h 1-k`.
    ///
    /// p: the probability, 0 to 1, that the good state turns bad after a packet.
    /// r: the probability that the bad state turns good; 1 - p where None.
    /// bad_loss: the probability of loss in the bad state (netem's 1-h).
    /// good_loss: the probability of loss in the good state (netem's 1-k).
    ///
    /// The steady loss is (bad_loss p + good_loss r) / (p + r); with the defaults p / (p + r), in bursts of
    /// 1 / r packets on average. Each client starts in the good state.
    ///
    /// Raises ValueError for what is no probability.
    GilbertElliott(impair::GilbertElliott)
    #[pyo3(signature = (p, r = None, *, bad_loss = 1.0, good_loss = 0.0))]
    fn new(p: f64, r: Option<f64>, bad_loss: f64, good_loss: f64) -> Result<Self> {
        let r = r.unwrap_or(1.0 - p);
        let model = impair::GilbertElliott::new(p, r, bad_loss, good_loss)?;
        let text = format!("p={p}, r={r}, bad_loss={bad_loss}, good_loss={good_loss}");
        Ok(Self { model, text })
    }
}

model! {
    /// Loss as given or recorded: of each client's packets those are lost whose place is true.
    ///
    /// lost: 1 to 16,777,216 truth values; at their end they start again.
    ///
    /// Raises ValueError where there are none or too many.
    LossPattern(Pattern)
    fn new(lost: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "truth values";
        let lost = items("lost", lost, Pattern::MAX, allowed, |item| {
            item.extract::<bool>().map_err(|_| wrong_type("lost", item, allowed))
        })?;
        let text = format!("{} of {} lost", lost.iter().filter(|lost| **lost).count(), lost.len());
        Ok(Self { model: Pattern::new(lost)?, text })
    }
}

model! {
    /// A delay from low to high, in seconds, each as likely.
    ///
    /// Raises ValueError outside of 0 to 3600 or where high is less than low.
    Uniform(Delay)
    fn new(low: f64, high: f64) -> Result<Self> {
        let model = Delay::Uniform(low * 1e9, high * 1e9).checked()?;
        Ok(Self { model, text: format!("low={low}, high={high}") })
    }
}

model! {
    /// A delay with a normal distribution of this mean and standard deviation, in seconds; below 0 it
    /// is 0.
    ///
    /// Raises ValueError outside of 0 to 3600.
    Normal(Delay)
    fn new(mean: f64, deviation: f64) -> Result<Self> {
        let model = Delay::Normal(mean * 1e9, deviation * 1e9).checked()?;
        Ok(Self { model, text: format!("mean={mean}, deviation={deviation}") })
    }
}

model! {
    /// A delay with an exponential distribution of this mean, in seconds; at most 3600.
    ///
    /// Raises ValueError outside of 0 to 3600.
    Exponential(Delay)
    fn new(mean: f64) -> Result<Self> {
        let model = Delay::Exponential(mean * 1e9).checked()?;
        Ok(Self { model, text: format!("mean={mean}") })
    }
}

model! {
    /// A delay with a Pareto distribution (type I): at least scale, in seconds, and longer than x with
    /// probability (scale / x) ** shape; at most 3600.
    ///
    /// Raises ValueError for a scale outside of 0 to 3600 or a shape that is not above 0.
    Pareto(Delay)
    fn new(scale: f64, shape: f64) -> Result<Self> {
        let model = Delay::Pareto(scale * 1e9, shape).checked()?;
        Ok(Self { model, text: format!("scale={scale}, shape={shape}") })
    }
}

model! {
    /// Reordering on purpose: with probability p a packet is held back for `delay` seconds more, and what
    /// follows in that time overtakes it.
    ///
    /// Raises ValueError for what is no probability or no time above 0.
    Reordering(impair::Reordering)
    fn new(p: f64, delay: f64) -> Result<Self> {
        let model = impair::Reordering::new(p, duration_ns("delay", Seconds(delay))?)?;
        Ok(Self { model, text: format!("p={p}, delay={delay}") })
    }
}

model! {
    /// A rate limit with a bounded queue: what finds the queue full is lost.
    ///
    /// bits_per_second: 1 or more. A packet counts as its payload and 28 bytes of headers.
    /// queue: how many bytes wait, the packet that is being sent not among them.
    ///
    /// Raises ValueError for an argument out of range.
    RateLimit(Rate)
    #[pyo3(
        signature = (bits_per_second, *, queue = Integer::new(65_536)),
        text_signature = "(bits_per_second, *, queue=65536)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn new(bits_per_second: Integer, queue: Integer) -> Result<Self> {
        let bits_per_second = bits_per_second.within("bits_per_second", 1..=u64::MAX)?;
        let queue = queue.within("queue", 0..=u64::from(u32::MAX))?;
        let text = format!("{bits_per_second}, queue={queue}");
        Ok(Self { model: Rate::new(bits_per_second, queue)?, text })
    }
}

/// A loss as Python names it.
#[derive(Clone)]
pub(super) enum LossArg {
    Probability(f64),
    Lab,
    Bursts(GilbertElliott),
    Pattern(LossPattern),
}

impl Argument for LossArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let allowed = "a probability from 0 to 1, 'lab', a GilbertElliott or a LossPattern";
        if let Ok(bursts) = given.extract() {
            return Ok(Self::Bursts(bursts));
        }
        if let Ok(pattern) = given.extract() {
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
            Self::Probability(p) => p.into_bound_py_any(py),
            Self::Lab => "lab".into_bound_py_any(py),
            Self::Bursts(bursts) => bursts.clone().into_bound_py_any(py),
            Self::Pattern(pattern) => pattern.clone().into_bound_py_any(py),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for LossArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Self::read("loss", &object)
    }
}

impl LossArg {
    /// What it shows of itself; nothing where it is the default.
    fn text(&self) -> Option<String> {
        match self {
            Self::Probability(0.0) => None,
            Self::Probability(p) => Some(p.to_string()),
            Self::Lab => Some("'lab'".to_owned()),
            Self::Bursts(bursts) => Some(bursts.__repr__()),
            Self::Pattern(pattern) => Some(pattern.__repr__()),
        }
    }

    pub(super) fn model(&self) -> Result<Loss> {
        match self {
            Self::Probability(0.0) => Ok(Loss::Never),
            Self::Probability(p) => Loss::bernoulli("loss", *p),
            Self::Lab => Ok(Loss::Lab),
            Self::Bursts(bursts) => Ok(Loss::GilbertElliott(bursts.model.clone())),
            Self::Pattern(pattern) => Ok(Loss::Pattern(pattern.model.clone())),
        }
    }
}

/// A delay as Python names it.
#[derive(Clone)]
pub(super) enum DelayArg {
    Fixed(f64),
    Uniform(Uniform),
    Normal(Normal),
    Exponential(Exponential),
    Pareto(Pareto),
}

impl Argument for DelayArg {
    fn read(name: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(delay) = given.extract() {
            return Ok(Self::Uniform(delay));
        }
        if let Ok(delay) = given.extract() {
            return Ok(Self::Normal(delay));
        }
        if let Ok(delay) = given.extract() {
            return Ok(Self::Exponential(delay));
        }
        if let Ok(delay) = given.extract() {
            return Ok(Self::Pareto(delay));
        }
        let allowed =
            "a number of seconds from 0 to 3600, a Uniform, a Normal, an Exponential or a Pareto";
        number_within(name, given, 0.0..=3600.0, allowed).map(Self::Fixed)
    }

    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Fixed(seconds) => seconds.into_bound_py_any(py),
            Self::Uniform(delay) => delay.clone().into_bound_py_any(py),
            Self::Normal(delay) => delay.clone().into_bound_py_any(py),
            Self::Exponential(delay) => delay.clone().into_bound_py_any(py),
            Self::Pareto(delay) => delay.clone().into_bound_py_any(py),
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for DelayArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Self::read("delay", &object)
    }
}

impl DelayArg {
    /// What it shows of itself; nothing where it is the default.
    fn text(&self) -> Option<String> {
        match self {
            Self::Fixed(0.0) => None,
            Self::Fixed(seconds) => Some(seconds.to_string()),
            Self::Uniform(delay) => Some(delay.__repr__()),
            Self::Normal(delay) => Some(delay.__repr__()),
            Self::Exponential(delay) => Some(delay.__repr__()),
            Self::Pareto(delay) => Some(delay.__repr__()),
        }
    }

    pub(super) fn model(&self) -> Result<Delay> {
        match self {
            Self::Fixed(0.0) => Ok(Delay::None),
            Self::Fixed(seconds) => Delay::Fixed(seconds * 1e9).checked(),
            Self::Uniform(Uniform { model, .. })
            | Self::Normal(Normal { model, .. })
            | Self::Exponential(Exponential { model, .. })
            | Self::Pareto(Pareto { model, .. }) => Ok(model.clone()),
        }
    }
}

object_argument!(Link, "a Link");

model! {
    /// One way of a path and its impairments, in the order in which a packet meets them: first those of
    /// chance, then those of time, in the order in which packets enter the link.
    ///
    /// loss: a probability, "lab", a GilbertElliott or a LossPattern.
    /// duplication: the probability that a packet comes twice; each copy meets what follows on its own.
    /// corruption: the probability that one bit of the payload, any as likely, is flipped.
    /// rate: a RateLimit.
    /// delay: seconds, or a Uniform, Normal, Exponential or Pareto.
    /// keep_order: whether a packet waits for those before it though its own delay is over.
    /// reordering: a Reordering, which takes packets out of the order whatever keep_order says.
    ///
    /// Each client has a link of its own: its own state, queue and random choices.
    ///
    /// Raises ValueError for an argument out of range.
    Link(impair::Link)
    #[pyo3(
        signature = (
            *, loss = LossArg::Probability(0.0), duplication = 0.0, corruption = 0.0, rate = None,
            delay = DelayArg::Fixed(0.0), keep_order = false, reordering = None,
        ),
        text_signature = "(*, loss=0.0, duplication=0.0, corruption=0.0, rate=None, delay=0.0, \
                          keep_order=False, reordering=None)",
    )]
    #[expect(clippy::needless_pass_by_value, reason = "arguments come by value")]
    fn new(
        loss: LossArg,
        duplication: f64,
        corruption: f64,
        rate: Option<RateLimit>,
        delay: DelayArg,
        keep_order: bool,
        reordering: Option<Reordering>,
    ) -> Result<Self> {
        let texts = [
            ("loss", loss.text()),
            ("duplication", (duplication != 0.0).then(|| duplication.to_string())),
            ("corruption", (corruption != 0.0).then(|| corruption.to_string())),
            ("rate", rate.as_ref().map(RateLimit::__repr__)),
            ("delay", delay.text()),
            ("keep_order", keep_order.then(|| "True".to_owned())),
            ("reordering", reordering.as_ref().map(Reordering::__repr__)),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some(format!("{name}={}", text?)));
        let model = impair::Link {
            loss: loss.model()?,
            duplication: probability("duplication", duplication)?,
            corruption: Corruption::new(corruption)?,
            rate: rate.map(|rate| rate.model),
            delay: delay.model()?,
            keep_order,
            reordering: reordering.map(|reordering| reordering.model).unwrap_or_default(),
            ..impair::Link::default()
        };
        Ok(Self { model, text: texts.collect::<Vec<_>>().join(", ") })
    }
}
