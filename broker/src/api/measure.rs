//! Measures the duration of every request, by route, method and status code.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use axum::response::Response;
use http::{Method, Request, StatusCode};
use prometheus::{Histogram, HistogramVec};

use crate::http::RouteName;

/// The label of requests that match no route. A fixed label, so that clients cannot create series.
const NO_ROUTE: &str = "none";

/// The durations of the requests of all routes.
pub(super) struct Measures {
    seconds: HistogramVec,
    routes: Vec<(RouteName, Series)>,
    no_route: Series,
}

/// The existing series of one route. Finding one here is faster than by its labels.
type Series = Mutex<Vec<(Kind, StatusCode, Histogram)>>;

/// The measurement of one request, from its head to the head of its answer, including the wait of a pull.
pub(super) struct Measure {
    started: Instant,
    /// The index of the route.
    route: Option<u8>,
    method: Kind,
}

impl Measures {
    pub(super) fn new(seconds: HistogramVec, routes: Vec<RouteName>) -> Self {
        let routes = routes.into_iter().map(|route| (route, Series::default())).collect();
        Self { seconds, routes, no_route: Series::default() }
    }

    /// Starts the measurement at a request's head.
    pub(super) fn start<B>(&self, request: &Request<B>) -> Measure {
        let path = request.uri().path();
        let route = self.routes.iter().position(|(route, _)| route.fits(path));
        // There are a few dozen routes, so the index fits.
        let route = route.map(|route| route as u8);
        Measure { started: Instant::now(), route, method: Kind::of(request.method()) }
    }

    /// Ends the measurement at the answer's head.
    pub(super) fn end(&self, measure: Measure, response: &Response) {
        let Measure { started, route, method } = measure;
        let (name, series) = match route {
            Some(route) => {
                let (route, series) = &self.routes[usize::from(route)];
                (&*route.name, series)
            }
            None => (NO_ROUTE, &self.no_route),
        };
        let (status, seconds) = (response.status(), started.elapsed().as_secs_f64());
        // After a panic the list can at most lack a series.
        let mut series = series.lock().unwrap_or_else(PoisonError::into_inner);
        match series.iter().find(|(of_method, of_status, _)| (*of_method, *of_status) == (method, status)) {
            Some((.., histogram)) => histogram.observe(seconds),
            None => {
                let histogram = self.seconds.with_label_values(&[name, method.name(), status.as_str()]);
                histogram.observe(seconds);
                series.push((method, status, histogram));
            }
        }
    }
}

/// A method of some route. Small, because each waiting request has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Other,
}

impl Kind {
    fn of(method: &Method) -> Self {
        match method.as_str() {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::router::routes;

    #[test]
    fn a_request_is_counted_under_its_route_template_and_unknown_paths_create_no_series() {
        let names = routes().names().to_vec();
        let name_of = |path: &str| {
            names.iter().find(|route| route.fits(path)).map_or(NO_ROUTE, |route| &route.name).to_owned()
        };
        for (path, name) in [
            ("/v1/messages/acme/orders", "/v1/messages/{*address}"),
            ("/v1/messages/a/b/c/d", "/v1/messages/{*address}"),
            ("/v1/messages/", "/v1/messages/"),
            ("/v1/batches/acme/orders", "/v1/batches/{*address}"),
            ("/v1/leases/token", "/v1/leases/{lease}"),
            ("/v1/leases/token/renew", "/v1/leases/{lease}/renew"),
            ("/v1/settlements", "/v1/settlements"),
            ("/v1/channels/acme/orders", "/v1/channels/{namespace}/{name}"),
            ("/v1/channels/acme", NO_ROUTE),
            ("/v1/settlements/more", NO_ROUTE),
            ("/v1/messages", NO_ROUTE),
            ("/made-up-by-a-stranger", NO_ROUTE),
        ] {
            assert_eq!(name_of(path), name, "{path}");
        }
    }
}
