/* The list of a pool's jobs, as a model for spin: that no chunk is FREE while nobody will look at it, whatever worker is
 * killed at whatever moment. src/pool/shared/job_list.h has the invariant and the argument; this is the same with two workers, a
 * server that may be killed and done again while it settles, and a host that waits for all.
 *
 * In each run the host publishes, in any order,
 *     job ONE     1 chunk, of priority 0: it leaves the list when a worker names it
 *     job URGENT  2 chunks, of priority 1
 *     job LONG    2 chunks, of priority 0; only with -DWITH_LONG
 *     a call      to all workers, chunk i for worker i; only with -DWITH_CALL
 * and waits until every chunk is DONE. Chunks are drawn one at a time or two at once. When all others sleep and the host
 * still waits, spin finds an invalid end state. -DKILLS=n: how many times a worker is killed.
 *
 * Taken together here are what no other process can tell apart: the worker's look at a chunk's word and its
 * compare-and-swap, and what one holder of the lock does to the list between naming a job and letting go of the lock,
 * except where it may die with an effect. Left out is sleeping: sync/wait_cell.h has why no wake-up is lost. Jobs of one
 * priority are taken in any order.
 *
 * What must be found, one at a time, by -D:
 *     AWAY_BEFORE_DRAW    a worker leaves a job that it has named for an urgent one before it has drawn
 *     AWAY_WITH_DRAWN     a worker leaves a job for an urgent one with chunks that it has drawn and not run
 *     NAMED_AFTER         a worker takes a job of one chunk off the list before its slot names it
 *     SETTLED_BEFORE      the slot of a dead worker is cleared before the job is offered again
 *     STALE_NOT_OFFERED   chunks that are given back are not offered again */

#define WORKERS 2
#define JOBS    4

#define ONE    0
#define URGENT 1
#define LONG   2
#define CALL   3
#define NONE   4

#define FREE  0
#define DONE  1
#define TAKEN 2 /* + the worker */

#define SERVER 3 /* as an owner of the lock; workers: number + 1 */

#ifndef KILLS
#define KILLS 1
#endif

byte word[8];    /* of chunk c of job j: j * 2 + c */
byte next[3];    /* chunks below were drawn */
bool listed[3];
bool published[JOBS];
byte urgency;    /* the priority of the first job + 1; 0: there is none */
bool calls;      /* there was a call to all workers */

byte owner;          /* of the lock */
byte slot_job[WORKERS] = NONE;
byte slot_chunk[WORKERS];
bool heard[WORKERS]; /* the worker has answered the call */
bool killed[WORKERS];
bool dead[WORKERS];
byte kills = KILLS;

#define count(j)     (j == ONE -> 1 : 2)
#define at(j, c)     word[(j) * 2 + (c)]
#define rank(j)      (j == URGENT -> 2 : 1)
#define dealt_out(j) (next[j] >= count(j))
#define has_news(w)  (listed[ONE] || listed[URGENT] || listed[LONG] || (calls && !heard[w]))
#define away(j, w)   ((j != CALL && urgency > rank(j)) || (calls && !heard[w]))
#define all_done                                                                                                       \
    (at(ONE, 0) == DONE && at(URGENT, 0) == DONE && at(URGENT, 1) == DONE && at(LONG, 0) == DONE &&                    \
     at(LONG, 1) == DONE && at(CALL, 0) == DONE && at(CALL, 1) == DONE)

inline set_urgency()
{
    urgency = (listed[URGENT] -> 2 : (listed[ONE] || listed[LONG] -> 1 : 0))
}

/* Of a job that has a FREE chunk: back to the list. With the lock. */
inline offer_again(j)
{
    d_step {
        if
        :: j == CALL || !published[j] -> skip
        :: else ->
            if
            :: at(j, 0) == FREE -> next[j] = 0; listed[j] = true
            :: else ->
                if
                :: count(j) == 2 && at(j, 1) == FREE -> next[j] = 1; listed[j] = true
                :: else -> skip
                fi
            fi
        fi;
        set_urgency()
    }
}

inline drop_dealt_out()
{
    d_step {
        if :: listed[ONE] && dealt_out(ONE) -> listed[ONE] = false :: else -> skip fi;
        if :: listed[URGENT] && dealt_out(URGENT) -> listed[URGENT] = false :: else -> skip fi;
        if :: listed[LONG] && dealt_out(LONG) -> listed[LONG] = false :: else -> skip fi;
        set_urgency()
    }
}

/* With the lock. */
inline pick(me, j)
{
    drop_dealt_out();
    if
    :: calls && !heard[me] && at(CALL, me) == FREE -> j = CALL
    :: else ->
        if
        :: listed[URGENT] -> j = URGENT
        :: !listed[URGENT] && listed[ONE] -> j = ONE
        :: !listed[URGENT] && listed[LONG] -> j = LONG
        :: !listed[URGENT] && !listed[ONE] && !listed[LONG] -> j = NONE
        fi
    fi;
    heard[me] = calls;
#ifdef NAMED_AFTER
    d_step { if :: j == ONE -> listed[ONE] = false :: else -> skip fi; set_urgency() };
    slot_job[me] = j
#else
    slot_job[me] = j;
    d_step { if :: j == ONE -> listed[ONE] = false :: else -> skip fi; set_urgency() }
#endif
}

inline draw(j, from, end, more)
{
    d_step {
        from = next[j];
        more = from < count(j);
        end = from
    };
    if
    :: more -> end = from + 1
    :: more && count(j) - from == 2 -> end = from + 2
    :: !more -> skip
    fi
}

proctype worker(byte me)
{
    byte j, from, end, c;
    bool has_drawn, more, took;
end_begin:
    {
end_idle:
        do
        :: has_news(me) ->
            atomic { owner == 0 -> owner = me + 1 };
            pick(me, j);
            owner = 0;
            if
            :: j == NONE -> goto end_idle
            :: j == CALL -> from = me; end = me + 1
            :: j != NONE && j != CALL -> from = 0; end = 0
            fi;
            has_drawn = false;
            do
            :: from < end ->
                c = from;
                from++;
                slot_chunk[me] = c;
                d_step {
                    took = at(j, c) == FREE;
                    if :: took -> at(j, c) = TAKEN + me :: else -> skip fi
                };
                if
                :: took -> /* the item runs */
                    at(j, c) = DONE;
                    if
                    :: from < end -> /* it took long */
                        end = from;
#ifndef STALE_NOT_OFFERED
                        atomic { owner == 0 -> owner = me + 1 };
                        offer_again(j);
                        owner = 0
#endif
                    :: true -> skip
                    fi
                :: else -> skip
                fi;
#ifdef AWAY_WITH_DRAWN
                if
                :: away(j, me) -> break
                :: else -> skip
                fi
#endif
            :: from >= end ->
                if
#ifdef AWAY_BEFORE_DRAW
                :: away(j, me) -> break
#else
                :: has_drawn && away(j, me) -> break
#endif
                :: else -> skip
                fi;
                has_drawn = true;
                if
                :: j == CALL -> break
                :: else ->
                    atomic { draw(j, from, end, more); if :: more -> next[j] = end :: else -> skip fi };
                    if :: more -> skip :: else -> break fi
                fi
            od;
            slot_job[me] = NONE
        od
    } unless { killed[me] };
    d_step { killed[me] = false; dead[me] = true; j = 0; from = 0; end = 0; c = 0; has_drawn = 0; more = 0; took = 0 };
    !dead[me];
    goto end_begin
}

/* Settles dead workers. It may be killed between any two steps, and another begins from the start: `again`. Each of its
 * holds of the lock may be one that it took over from a dead owner, and the list is whole then. */
proctype server()
{
    byte w, j;
    byte agains = 1;
end_idle:
    do
    :: dead[0] || dead[1] ->
        w = (dead[0] -> 0 : 1);
again:
        atomic {
            owner == 0 || owner == SERVER || (owner > 0 && owner < SERVER && dead[owner - 1]) -> owner = SERVER;
            set_urgency()
        };
        j = slot_job[w];
#ifdef SETTLED_BEFORE
        slot_job[w] = NONE;
        if :: agains > 0 -> agains--; goto again :: true -> skip fi;
#endif
        if
        :: j == NONE -> skip
        :: else ->
            if /* the item is lost, or no item was begun */
            :: at(j, slot_chunk[w]) == TAKEN + w -> at(j, slot_chunk[w]) = FREE
            :: at(j, slot_chunk[w]) == TAKEN + w -> at(j, slot_chunk[w]) = DONE
            :: else -> skip
            fi;
            if :: agains > 0 -> agains--; goto again :: true -> skip fi;
            offer_again(j)
        fi;
        if :: agains > 0 -> agains--; goto again :: true -> skip fi;
        owner = 0;
        slot_job[w] = NONE;
        if :: agains > 0 -> agains--; goto again :: true -> skip fi;
        d_step { heard[w] = false; dead[w] = false }
    od
}

proctype publisher(byte j)
{
    atomic { owner == 0 || (owner < SERVER && dead[owner - 1]) -> owner = SERVER + 1; set_urgency() };
    if
    :: j == CALL -> at(CALL, 0) = FREE; at(CALL, 1) = FREE; calls = true
    :: else -> published[j] = true; d_step { listed[j] = true; set_urgency() }
    fi;
    owner = 0
}

proctype killer()
{
end_idle:
    do
    :: kills > 0 && !killed[0] && !dead[0] -> atomic { kills--; killed[0] = true }
    :: kills > 0 && !killed[1] && !dead[1] -> atomic { kills--; killed[1] = true }
    :: break
    od
}

init
{
    atomic {
        at(CALL, 0) = FREE;
        run worker(0);
        run worker(1);
        run server();
        run killer();
        run publisher(ONE);
        run publisher(URGENT);
#ifdef WITH_LONG
        run publisher(LONG);
#else
        at(LONG, 0) = DONE;
        at(LONG, 1) = DONE;
#endif
#ifdef WITH_CALL
        run publisher(CALL)
#else
        at(CALL, 0) = DONE;
        at(CALL, 1) = DONE
#endif
    };
    all_done /* the host waits */
}
