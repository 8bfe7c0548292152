//! Value classes: frozen, readable, comparable, made only by the engine.

use std::net::SocketAddr;

use pyo3::prelude::*;

use crate::NS_PER_SECOND;

/// Declares a Python class of named values.
macro_rules! value {
    ($(#[$doc:meta])* $class:ident in $module:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[pyo3::pyclass(frozen, eq, get_all, module = $module)]
        #[derive(Clone, PartialEq)]
        pub(super) struct $class { $($(#[$field_doc])* pub(super) $field: $type,)* }

        #[pyo3::pymethods]
        impl $class {
            #[classattr]
            fn __match_args__(
                py: pyo3::Python<'_>,
            ) -> pyo3::PyResult<pyo3::Bound<'_, pyo3::types::PyTuple>> {
                pyo3::types::PyTuple::new(py, [$(stringify!($field)),*])
            }

            fn __repr__(slf: &pyo3::Bound<'_, Self>) -> pyo3::PyResult<String> {
                use pyo3::types::PyAnyMethods;
                let fields: Vec<String> = vec![
                    $(format!("{}={}", stringify!($field), slf.getattr(stringify!($field))?.repr()?)),*
                ];
                Ok(format!("{}({})", stringify!($class), fields.join(", ")))
            }
        }
    };
}
pub(super) use value;

/// An address as Python writes it.
pub(super) type Address = (String, u16);

/// The host and the port of `address`.
pub(super) fn address(address: SocketAddr) -> Address {
    let host = match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    };
    (host, address.port())
}

/// How far local time is ahead of UTC now.
pub(super) fn utc_offset_ns(py: Python<'_>) -> PyResult<i64> {
    let local = py.import("time")?.call_method0("localtime")?;
    Ok(local.getattr("tm_gmtoff")?.extract::<i64>()? * NS_PER_SECOND)
}

/// Bytes of the network as text; what is no UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
