//! Asks a provider until it answers: limits, retries, and the budget that both draw on.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cost::{Budget, Price};
use super::limits::{Limiter, Limits};
use super::provider::{Billed, Parameters, Prompt, Provider, ProviderError, Remedy, error_of};
use super::retry::RetryPolicy;
use super::transport::{Body, HttpAnswer, Transport, TransportError};
use crate::random::SplitMix64;
use crate::sync::{Cancellation, lock};

/// Why a request stays without answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// All attempts failed; another run may have more luck.
    Exhausted(String),
    /// The provider does not take this request.
    Declined(String),
    /// The provider takes no request at all.
    Hopeless(String),
    /// The next attempt could have cost more than there is.
    Budget,
    /// Called off before the next attempt.
    CalledOff,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub result: Result<(Billed, Option<String>), Failure>,
    pub attempts: u32,
    /// What the answer cost.
    pub cost_usd: f64,
}

/// Asks one provider from several threads.
pub struct Asker<'a> {
    pub provider: &'a dyn Provider,
    pub transport: &'a Transport,
    pub parameters: &'a Parameters,
    pub policy: RetryPolicy,
    pub price: Option<Price>,
    pub budget: &'a Mutex<Budget>,
    pub limiter: Mutex<Limiter>,
    /// The user's Ctrl-C.
    pub cancellation: &'a Cancellation,
    /// Cancelled with it, and when it makes no sense to go on.
    pub halt: Cancellation,
    jitter: Mutex<SplitMix64>,
}

impl<'a> Asker<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is what asking depends on"
    )]
    pub fn new(
        provider: &'a dyn Provider,
        transport: &'a Transport,
        parameters: &'a Parameters,
        policy: RetryPolicy,
        limits: Limits,
        price: Option<Price>,
        budget: &'a Mutex<Budget>,
        cancellation: &'a Cancellation,
    ) -> Self {
        Self {
            provider,
            transport,
            parameters,
            policy,
            price,
            budget,
            limiter: Mutex::new(Limiter::new(limits, Instant::now())),
            cancellation,
            halt: cancellation.child(),
            // Two processes that were told to come back do not come back together.
            jitter: Mutex::new(SplitMix64::of_process()),
        }
    }

    /// What one attempt costs at most; 0 where no price is known.
    pub fn most_usd(&self, prompt: &Prompt) -> f64 {
        most_usd(self.price, self.parameters, prompt)
    }

    /// Asks, again and again if need be. The first attempt's cost has been set aside by the caller,
    /// who hears of each attempt that may have been billed in vain before there is another one.
    pub fn ask(&self, prompt: &Prompt, mut on_lost: impl FnMut(f64)) -> Asked {
        let body = self.provider.body(self.parameters, prompt).to_string();
        let most_usd = self.most_usd(prompt);
        let tokens =
            super::cost::likely_tokens(prompt) + u64::from(self.parameters.max_answer_tokens);
        let mut asked = Asked {
            result: Err(Failure::CalledOff),
            attempts: 0,
            cost_usd: 0.0,
        };
        loop {
            if !self.wait_for_turn(tokens) {
                lock(self.budget).charge(most_usd, 0.0);
                return asked;
            }
            asked.attempts += 1;
            let bytes = body.clone().into_bytes();
            let answer = self.transport.post(self.provider.path(), Body::Json(bytes));
            let (reason, retry_after, is_lost) = match self.read(answer) {
                Ok((billed, request_id)) => {
                    asked.cost_usd = self.price.map_or(0.0, |p| p.cost_usd(billed.usage));
                    lock(self.budget).charge(most_usd, asked.cost_usd);
                    asked.result = Ok((billed, request_id));
                    return asked;
                }
                Err(Fault::Provider(error)) if error.remedy != Remedy::Retry => {
                    lock(self.budget).charge(most_usd, 0.0);
                    let reason = self.transport.redact(&error.to_string());
                    asked.result = Err(match error.remedy {
                        Remedy::StopAsking => Failure::Hopeless(reason),
                        _ => Failure::Declined(reason),
                    });
                    return asked;
                }
                Err(Fault::Provider(error)) => (error.to_string(), error.retry_after, false),
                Err(Fault::Transport(error)) => (error.to_string(), None, error.may_be_billed()),
                Err(Fault::Unreadable(reason)) => (reason, None, true),
            };
            let reason = self.transport.redact(&reason);
            let lost_usd = if is_lost { most_usd } else { 0.0 };
            lock(self.budget).charge(most_usd, lost_usd);
            if is_lost {
                on_lost(lost_usd);
            }
            let attempt = asked.attempts;
            tracing::debug!(target: "posedata::synth", attempt, reason, "attempt failed");
            match self.policy.wait(attempt, retry_after, self.random()) {
                None => {
                    asked.result = Err(Failure::Exhausted(reason));
                    return asked;
                }
                Some(wait) if !self.sleep(wait) => return asked,
                Some(_) if lock(self.budget).reserve(most_usd) => {}
                Some(_) => {
                    asked.result = Err(Failure::Budget);
                    return asked;
                }
            }
        }
    }

    fn read(
        &self,
        answer: Result<HttpAnswer, TransportError>,
    ) -> Result<(Billed, Option<String>), Fault> {
        let answer = answer.map_err(Fault::Transport)?;
        if answer.status != 200 {
            return Err(Fault::Provider(error_of(
                self.provider,
                answer.status,
                answer.retry_after,
                &answer.body,
            )));
        }
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|e| Fault::Unreadable(format!("the answer is no JSON: {e}")))?;
        let billed = self.provider.reply(&body).map_err(Fault::Unreadable)?;
        Ok((billed, answer.request_id))
    }

    /// Waits for the limits; `false` if called off.
    fn wait_for_turn(&self, tokens: u64) -> bool {
        loop {
            if self.is_called_off() {
                return false;
            }
            let wait = lock(&self.limiter).take(tokens, Instant::now());
            if wait.is_zero() {
                return true;
            }
            if !self.sleep(wait) {
                return false;
            }
        }
    }

    fn is_called_off(&self) -> bool {
        self.halt.is_cancelled()
    }

    /// Sleeps; `false` if called off meanwhile.
    fn sleep(&self, wait: Duration) -> bool {
        self.halt.sleep(wait)
    }

    /// From 0 to 1.
    fn random(&self) -> f64 {
        lock(&self.jitter).next_fraction()
    }
}

enum Fault {
    Provider(ProviderError),
    Transport(TransportError),
    Unreadable(String),
}

/// What a request costs at most; 0 where no price is known.
pub fn most_usd(price: Option<Price>, parameters: &Parameters, prompt: &Prompt) -> f64 {
    let usage = super::provider::Usage {
        input_tokens: super::cost::most_tokens(prompt),
        output_tokens: u64::from(parameters.max_answer_tokens),
    };
    price.map_or(0.0, |price| price.cost_usd(usage))
}
