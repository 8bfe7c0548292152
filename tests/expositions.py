"""Pages of metrics, read by the parsers of prometheus_client."""

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(page: bytes, openmetrics: bool = False) -> Samples:
    """Return the values of a page by name and labels; each is there once."""
    parse = (
        openmetrics_parser.text_string_to_metric_families
        if openmetrics
        else text_string_to_metric_families
    )
    samples: Samples = {}
    for family in parse(page.decode()):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples
            samples[key] = sample.value
    return samples


def value(samples: Samples, name: str, /, **labels: str) -> float:
    """Return the only value with a name and these labels among others."""
    wanted = set(labels.items())
    (found,) = [
        value for (each, have), value in samples.items() if each == name and wanted <= set(have)
    ]
    return found
