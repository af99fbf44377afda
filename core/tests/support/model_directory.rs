//! The part of the naive model that knows who is registered, under which profile, and where logs begin.

use waybill_core::body::SealedBody;
use waybill_core::command::UserRef;
use waybill_core::fact::{Fact, Revoked};
use waybill_core::id::{Position, Seq, UserNo};
use waybill_core::outcome::{Answer, Outcome, Refusal};

use super::model::{Body, Model, Person};

impl Person {
    pub fn is_registered(&self) -> bool {
        self.registered_at.is_some() && self.turns.len().is_multiple_of(2)
    }

    fn take_profile(&mut self, profile: &SealedBody, position: u64) {
        let waybill_core::body::Body::Profile(said) =
            waybill_core::codec::decode(&profile.bytes).unwrap()
        else {
            panic!("not a profile");
        };
        self.profile = Some((position, said));
    }

    /// The turns before the one that comes now.
    fn turns_before(&mut self, now: u64) -> Vec<Position> {
        if self.turns.len() >= 32 {
            self.turns.drain(..2);
        }
        let before = self.turns.iter().copied().map(Position).collect();
        self.turns.push(now);
        before
    }
}

impl Model {
    pub(super) fn register(
        &mut self,
        user: &UserRef,
        profile: &SealedBody,
        mut next: u64,
        facts: &mut Vec<(Fact, Body)>,
    ) -> Answer {
        let (number, new) = self.meet(user, &mut next, facts);
        let person = self.person(number).unwrap();
        if person.is_registered() {
            return Err(Refusal::AlreadyRegistered);
        }
        person.take_profile(profile, next);
        let user = UserNo(number);
        let fact = if person.registered_at.is_none() {
            person.registered_at = Some(next);
            Fact::UserRegistered { user }
        } else {
            let turns = person.turns_before(next);
            Fact::UserRegisteredAgain { user, turns }
        };
        facts.push((fact, Some(profile.clone())));
        Ok(Outcome::User { user, new })
    }

    pub(super) fn update(
        &mut self,
        user: u64,
        base: Option<Position>,
        profile: &SealedBody,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        erased: &mut Vec<Position>,
    ) -> Answer {
        let Some(person) = self.person(user).filter(|person| person.is_registered()) else {
            return Err(Refusal::UnknownUser);
        };
        let before = person.profile.as_ref().map(|(position, _)| *position);
        if before != base.map(|base| base.0) {
            return Err(Refusal::Stale);
        }
        person.take_profile(profile, next);
        let fact = Fact::UserUpdated { user: UserNo(user) };
        facts.push((fact, Some(profile.clone())));
        match before {
            Some(before) => self.erase(before, next + 1, facts, erased),
            None => Ok(Outcome::Done),
        }
    }

    pub(super) fn unregister(
        &mut self,
        user: u64,
        next: u64,
        facts: &mut Vec<(Fact, Body)>,
        erased: &mut Vec<Position>,
    ) -> Answer {
        if !self
            .person(user)
            .is_some_and(|person| person.is_registered())
        {
            return Err(Refusal::UnknownUser);
        }
        self.revoke(user, Revoked::All, next, facts)?;
        let person = self.person(user).unwrap();
        let turns = person.turns_before(next + 1);
        let profile = person.profile.as_ref().map(|(position, _)| *position);
        let user = UserNo(user);
        facts.push((Fact::UserUnregistered { user, turns }, None));
        match profile {
            Some(profile) => self.erase(profile, next + 2, facts, erased),
            None => Ok(Outcome::Done),
        }
    }

    pub(super) fn trim(&mut self, user: u64, floor: u64, facts: &mut Vec<(Fact, Body)>) -> Answer {
        let head = self
            .person(user)
            .map_or(0, |person| person.log.len() as u64);
        if floor > head + 1 {
            return Err(Refusal::BeyondLog);
        }
        let Some(person) = self.person(user).filter(|person| floor > person.floor) else {
            return Ok(Outcome::Done);
        };
        person.floor = floor;
        let (user, floor) = (UserNo(user), Seq(floor));
        facts.push((Fact::LogTrimmed { user, floor }, None));
        Ok(Outcome::Done)
    }
}
