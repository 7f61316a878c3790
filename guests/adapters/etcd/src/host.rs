//! The world as the host of the component makes it.

use crate::wire::{Answer, Call, Fault, HttpClient, Moment, Stream};
use shardwright_guest::adapter::http::{Body, HttpError, Request, Response};
use shardwright_guest::adapter::{Deadline, log};

/// The world of a lane.
pub struct Host;

const fn deadline(moment: Moment) -> Deadline {
    Deadline::at(moment.0)
}

fn send(call: &Call<'_>, until: Moment) -> Result<Response, Fault> {
    let request = Request {
        method: if call.body.is_some() { "POST" } else { "GET" },
        url: call.url,
        headers: call.headers,
        body: call.body.unwrap_or_default(),
    };
    request.send(deadline(until)).map_err(fault)
}

impl HttpClient for Host {
    type Stream = Body;

    fn now(&self) -> Moment {
        Moment(Deadline::now().nanos())
    }

    fn sleep(&self, until: Moment) {
        deadline(until).sleep();
    }

    fn warn(&self, text: &str) {
        log::warn(text);
    }

    fn again(&self) -> Self {
        Self
    }

    fn call(&mut self, call: &Call<'_>, limit: usize, until: Moment) -> Result<Answer, Fault> {
        let sent = self.now();
        let mut response = send(call, until)?;
        let received = self.now();
        let mut body = Vec::new();
        while Stream::read(&mut response.body, &mut body, until)? > 0 {
            if body.len() > limit {
                return Err(Fault::TooLong);
            }
        }
        Ok(Answer {
            status: response.status,
            date: response.header("date").map(str::to_owned),
            body,
            sent,
            received,
        })
    }

    fn stream(&mut self, call: &Call<'_>, until: Moment) -> Result<(u16, Body), Fault> {
        let response = send(call, until)?;
        Ok((response.status, response.body))
    }
}

impl Stream for Body {
    fn read(&mut self, into: &mut Vec<u8>, until: Moment) -> Result<usize, Fault> {
        Self::read(self, into, deadline(until)).map_err(fault)
    }
}

fn fault(error: HttpError) -> Fault {
    match error {
        HttpError::Unreachable(why) | HttpError::NotGranted(why) | HttpError::Invalid(why) => Fault::Unreachable(why),
        HttpError::Tls(why) => Fault::Tls(why),
        HttpError::Lost(why) => Fault::Lost(why),
        HttpError::TimedOut => Fault::TimedOut,
    }
}
