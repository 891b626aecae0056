//! The components of a shutdown, which may join and leave until it begins.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Deadline, Drainable, PlanError, Watch,
    errand::Place,
    plan::{Ordered, Plan},
};

pub(crate) struct Component {
    pub(crate) name: String,
    /// Some of these may have left, and may come again.
    pub(crate) after: Vec<String>,
    pub(crate) drainable: Arc<dyn Drainable>,
    pub(crate) place: Arc<Place>,
    /// Those that it comes after because one between has left; all are there.
    through: Vec<String>,
    /// What it was closed with, if it is about to leave.
    pub(crate) leaving: Option<Deadline>,
}

/// The components that have joined so far. The lock guards the list; no component's code runs under it.
#[derive(Default)]
pub(crate) struct Roster(Mutex<(Vec<Component>, bool)>);

impl Roster {
    pub(super) fn new(components: Vec<Component>) -> Result<Self, PlanError> {
        plan(&components, 0)?;
        Ok(Roster(Mutex::new((components, false))))
    }

    pub(super) fn join(&self, component: Component) -> Result<(), AddComponentError> {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (components, frozen) = &mut *roster;
        if *frozen {
            // The component's destructor is foreign code.
            drop(roster);
            return Err(AddComponentError::Draining(component.name.clone()));
        }
        components.push(component);
        let Err(error) = plan(components, components.len() - 1) else { return Ok(()) };
        let refused = components.pop();
        drop(roster);
        drop(refused);
        Err(error.into())
    }

    /// Tells the first components; nobody else has the roster yet.
    pub(super) fn tell_joined(&self, watch: &Watch) {
        let components: Vec<_> = {
            let roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            roster.0.iter().map(|component| component.drainable.clone()).collect()
        };
        for component in components {
            component.joined(watch);
        }
    }

    /// The component of this name is about to leave; it is one of ours until it [has](Self::remove). Returns what it is to
    /// be closed with.
    pub(super) fn leaving(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<(Arc<dyn Drainable>, Deadline), RemoveComponentError> {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (components, frozen) = &mut *roster;
        if *frozen {
            return Err(RemoveComponentError::Draining(name.to_owned()));
        }
        let component = components.iter_mut().find(|component| component.name == name);
        let component = component.ok_or_else(|| RemoveComponentError::Unknown(name.to_owned()))?;
        Ok((component.drainable.clone(), component.leaving.get_or_insert(deadline).clone()))
    }

    /// It leaves, if the shutdown has not begun: in one step, so that either has it, never both and never neither.
    pub(super) fn remove(
        &self,
        name: &str,
        drainable: &Arc<dyn Drainable>,
    ) -> Result<(), RemoveComponentError> {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (components, frozen) = &mut *roster;
        if *frozen {
            return Err(RemoveComponentError::Draining(name.to_owned()));
        }
        // By itself: its name may be another's by now.
        let Some(at) = components.iter().position(|component| Arc::ptr_eq(&component.drainable, drainable))
        else {
            return Ok(());
        };
        let left = components.remove(at);
        let names: HashSet<String> = components.iter().map(|component| component.name.clone()).collect();
        for component in components {
            component.inherit(&left, &names);
        }
        drop(roster);
        drop(left);
        Ok(())
    }

    /// Ends joining and leaving.
    pub(crate) fn freeze(&self) -> (Vec<Component>, Plan) {
        let mut roster = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roster.1 = true;
        let components = std::mem::take(&mut roster.0);
        let plan = plan(&components, components.len()).expect("each was checked when it joined");
        (components, plan)
    }
}

/// From `strict` on, those that a component comes after must be there.
fn plan(components: &[Component], strict: usize) -> Result<Plan, PlanError> {
    let names: HashSet<&str> = components.iter().map(|component| component.name.as_str()).collect();
    let there = |at: usize, name: &str| at >= strict || names.contains(name);
    let order = |(at, component): (usize, &Component)| -> Ordered {
        let after = component.after.iter().chain(&component.through);
        (component.name.clone(), after.filter(|name| there(at, name)).cloned().collect())
    };
    Plan::new(&components.iter().enumerate().map(order).collect::<Vec<_>>())
}

impl Component {
    pub(crate) fn new(
        name: String,
        after: Vec<String>,
        drainable: Arc<dyn Drainable>,
        place: Arc<Place>,
    ) -> Self {
        Component { name, after, drainable, place, through: Vec::new(), leaving: None }
    }

    /// Whoever comes after the one that has left comes after those that it came after.
    fn inherit(&mut self, left: &Component, names: &HashSet<String>) {
        let before = self.through.len();
        self.through.retain(|name| *name != left.name);
        if self.through.len() == before && !self.after.contains(&left.name) {
            return;
        }
        for name in left.after.iter().chain(&left.through) {
            if names.contains(name) && !self.after.contains(name) && !self.through.contains(name) {
                self.through.push(name.clone());
            }
        }
    }
}

/// Why a component could not join a running service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddComponentError {
    /// The shutdown has begun.
    #[error("component {0:?} comes too late: the service is draining")]
    Draining(String),
    /// Its name or its order cannot work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The runtime gives it no private place.
    #[error("the runtime gives no private place: {0}")]
    Runtime(io::Error),
}

/// Why a component could not leave a running service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveComponentError {
    /// The shutdown has begun, and sees to it.
    #[error("component {0:?} leaves too late: the service is draining, and it with it")]
    Draining(String),
    /// There is none of this name.
    #[error("there is no component {0:?} that could leave")]
    Unknown(String),
}
