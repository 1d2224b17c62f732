//! Runs a round from its plan to its report.

use std::collections::BTreeMap;
use std::path::Path;

use super::checks::Checker;
use super::journal::Journal;
use super::provider::Usage;
use super::transport::Transport;
use super::{
    Access, Input, Mode, Plan, Round, RoundState, SynthConfig, SynthError, SynthObserver, batch,
    present_in, run_direct,
};
use crate::sync::Cancellation;

/// Runs a round: asks, checks, and gives what was accepted. Nothing is written but the journal.
///
/// # Errors
/// When there is nothing to ask about, the journal cannot be used, or a price is missing that
/// `max_cost_usd` needs. A provider that fails is no error of this function: the report tells.
pub fn run(
    config: &SynthConfig,
    access: &Access,
    input: &Input<'_>,
    journal: &Path,
    cancellation: &Cancellation,
    observer: &dyn SynthObserver,
) -> Result<Round, SynthError> {
    if config.max_cost_usd.is_some() && config.price.is_none() {
        let model = config.parameters.model.clone();
        return Err(SynthError::NoPrice { model });
    }
    let plan = Plan::new(config, input.examples)?;
    let provider = config.provider.provider();
    let transport = Transport::new(
        &access.base_url,
        provider.headers(access.key.as_ref()),
        access.key.clone(),
        config.timeout,
    )?;
    let present = present_in(&plan, input.examples);
    let mut state = RoundState {
        config,
        plan,
        present,
        journal: Journal::open(journal)?,
        input,
        checker: Checker::new(input.examples, input.videos),
        accepted: Vec::new(),
        rejected: Vec::new(),
        reasons: BTreeMap::new(),
        looked_at: 0,
        usage: Usage::default(),
        cost_usd: 0.0,
        from_journal: 0,
        sent: 0,
        retries: 0,
        cost_of_run_usd: 0.0,
    };
    let end = match config.mode {
        Mode::Direct => run_direct(&mut state, &*provider, &transport, cancellation, observer)?,
        Mode::Batch => batch::run(&mut state, &*provider, &transport, cancellation)?,
    };
    Ok(state.into_round(end))
}
