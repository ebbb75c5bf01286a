/* The rotation of one root key (Sources/Rotation), for SPIN: a controller and two members that seal and open.
 *
 * How it maps onto the code:
 *   current, next (controller)        RotationState; generation g-1 is previous; stage and promote are its functions
 *   obstacles of RotationGate         the guard of `promote`: members that are connected have acknowledged STAGE of next and
 *                                     PROMOTE of current, and a second has passed since the last new acknowledgement
 *   SETTLED                           the settling second: every data packet that was under way has arrived; so has what a
 *                                     member sealed until its lease ended (MemberProgress.isConnected)
 *   sealedCurrent, sealedNext         MemberRotation in the sealed file; take() replaces them, older offers are refused
 *   tableCurrent, tableNext           the key table that every lcore has taken; between the two both are in use
 *   poll, answer                      KeyPoll and KeySet, each lost, late or repeated (a channel element that stays)
 *   inContact                         an answer under the lease that lives is in the sealed file and on every lcore
 *   packet[m]                         generations of packets of m that may be under way: bit g
 *
 * spin -DFAULT=1 asks for no acknowledgement, 2 waits no second, 3 acknowledges before the lcores have the table, 4 forgets a
 * member when its lease ends: each must be found. Run by SpinTests; the search beside it runs the code itself.
 */

#ifndef FAULT
#define FAULT 0
#endif
#define MEMBERS 2
#define LAST 3
#define BIT(g) (1 << (g))
/* Generations that a table with this current and next opens: previous, current, next; 0: none held. */
#define OPENS(c, n) ((c == 0 -> 0 : BIT(c) | (c > 1 -> BIT(c - 1) : 0)) | (n == 0 -> 0 : BIT(n)))

/* The controller; durable: a commit is one step. */
byte current = 1, next = 0;
bool leased[MEMBERS], ended[MEMBERS], answered[MEMBERS], settled[MEMBERS];
byte staged[MEMBERS], promoted[MEMBERS];

/* The members. */
byte sealedCurrent[MEMBERS], sealedNext[MEMBERS], tableCurrent[MEMBERS], tableNext[MEMBERS];
bool inContact[MEMBERS], joining[MEMBERS];
byte packet[MEMBERS];

/* One message each way and member. */
bool poll[MEMBERS], answer[MEMBERS], underLease[MEMBERS];
byte pollStaged[MEMBERS], pollPromoted[MEMBERS], answerCurrent[MEMBERS], answerNext[MEMBERS];

#define CONNECTED(m) (answered[m] && (leased[m] || (FAULT != 4 && ended[m])))
#define MAY(m) (!CONNECTED(m) || ((FAULT == 1 || (staged[m] >= next && promoted[m] >= current)) \
  && (FAULT == 2 || FAULT == 1 || settled[m])))
#define MISSED(s, r) (inContact[r] && (packet[s] \
  & ~(OPENS(sealedCurrent[r], sealedNext[r]) & OPENS(tableCurrent[r], tableNext[r]))) != 0)

/* Members in contact send all the time, with what any lcore of theirs may have; nobody in contact may miss it. */
inline settle() {
  if
  :: inContact[0] -> packet[0] = packet[0] | (BIT(sealedCurrent[0]) | BIT(tableCurrent[0])) & ~1
  :: else
  fi;
  if
  :: inContact[1] -> packet[1] = packet[1] | (BIT(sealedCurrent[1]) | BIT(tableCurrent[1])) & ~1
  :: else
  fi;
  assert(!MISSED(0, 1) && !MISSED(1, 0))
}

inline lose(m) {
  inContact[m] = false; joining[m] = false; underLease[m] = false;
  poll[m] = false; pollStaged[m] = 0; pollPromoted[m] = 0
}

inline forget(m) { answer[m] = false; answerCurrent[m] = 0; answerNext[m] = 0; underLease[m] = false }

inline install(m) {
  tableCurrent[m] = sealedCurrent[m]; tableNext[m] = sealedNext[m];
  if
  :: joining[m] -> inContact[m] = true; joining[m] = false
  :: else
  fi
}

active proctype controller() {
  do
  :: atomic { next == 0 && current < LAST -> next = current + 1; settle() }
  :: atomic { next != 0 && MAY(0) && MAY(1) -> current = next; next = 0; settle() }
  /* It dies and starts: everything above is in its store; it counts seconds anew and takes every lease as answered. */
  :: atomic {
      settled[0] = false; settled[1] = false;
      answered[0] = leased[0] || ended[0]; answered[1] = leased[1] || ended[1]; settle()
    }
  /* A second. */
  :: atomic {
      packet[0] = 0; packet[1] = 0; settled[0] = true; settled[1] = true;
      ended[0] = false; ended[1] = false;
      answered[0] = answered[0] && leased[0]; answered[1] = answered[1] && leased[1]; settle()
    }
  od
}

active [MEMBERS] proctype member() {
  byte m = _pid - 1;
  do
  :: atomic { !leased[m] -> lose(m); leased[m] = true; ended[m] = false; settle() }
  :: atomic { leased[m] -> lose(m); leased[m] = false; ended[m] = true; settle() }
  :: atomic {
      leased[m] && !poll[m] && !answer[m] ->
      poll[m] = true;
      if
      :: FAULT == 3 -> pollStaged[m] = (sealedNext[m] > 0 -> sealedNext[m] : sealedCurrent[m]); pollPromoted[m] = sealedCurrent[m]
      :: else -> pollStaged[m] = (tableNext[m] > 0 -> tableNext[m] : tableCurrent[m]); pollPromoted[m] = tableCurrent[m]
      fi
    }
  :: atomic { poll[m] -> poll[m] = false; pollStaged[m] = 0; pollPromoted[m] = 0 }
  :: atomic { answer[m] -> forget(m) }
  /* The poll arrives; it may do so again; the answer may be lost at once. */
  :: atomic {
      poll[m] ->
      if
      :: staged[m] != pollStaged[m] || promoted[m] != pollPromoted[m] -> settled[m] = false
      :: else
      fi;
      staged[m] = pollStaged[m]; promoted[m] = pollPromoted[m]; answered[m] = true;
      answer[m] = true; answerCurrent[m] = current; answerNext[m] = next; underLease[m] = true;
      if
      :: poll[m] = false; pollStaged[m] = 0; pollPromoted[m] = 0
      :: skip
      fi;
      settle()
    }
  /* The answer arrives, and may do so again; an older one is refused. */
  :: atomic {
      answer[m] && sealedCurrent[m] == tableCurrent[m] && sealedNext[m] == tableNext[m] ->
      if
      :: answerCurrent[m] > sealedCurrent[m] || answerCurrent[m] == sealedCurrent[m] && answerNext[m] >= sealedNext[m] ->
        sealedCurrent[m] = answerCurrent[m]; sealedNext[m] = answerNext[m];
        joining[m] = joining[m] || (underLease[m] && !inContact[m]);
        if
        :: sealedCurrent[m] == tableCurrent[m] && sealedNext[m] == tableNext[m] -> install(m)
        :: else
        fi
      :: else
      fi;
      if
      :: forget(m)
      :: skip
      fi;
      settle()
    }
  :: atomic { sealedCurrent[m] != tableCurrent[m] || sealedNext[m] != tableNext[m] -> install(m); settle() }
  /* It dies and starts: the table is made of the sealed file, and what was asked before is answered to nobody. */
  :: atomic { forget(m); install(m); settle() }
  od
}
