/* Turns by two events, one for each process, who clears it when it was set: see turns.h. */
#include "check.h"
#include "turns.h"

#include <mproc/memory.h>
#include <mproc/sync.h>

static void *open_events(void)
{
    mproc_event *events = mproc_alloc(2 * sizeof *events);

    must(events != NULL, "mproc_alloc");
    for (unsigned i = 0; i < 2; i++)
        check(mproc_event_init(&events[i]), "mproc_event_init");
    check(mproc_event_set(&events[0]), "mproc_event_set");
    return events;
}

static void await(void *memory, unsigned me)
{
    mproc_event *event = (mproc_event *)memory + me;

    check(mproc_event_wait(event, MPROC_FOREVER), "mproc_event_wait");
    check(mproc_event_clear(event), "mproc_event_clear");
}

static void pass(void *events, unsigned me)
{
    check(mproc_event_set((mproc_event *)events + !me), "mproc_event_set");
}

int main(int argc, char **argv)
{
    static const struct turns_kind kind = {open_events, await, pass};

    return measure_turns(argc, argv, &kind);
}
