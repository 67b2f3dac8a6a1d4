/* As groups.h says. */
#include "groups.h"

#include "harness.h"

mproc_group *make_group(bool stop_on_failure)
{
    mproc_group *group;
    assert_int_equal(mproc_group_create(&group, &(mproc_group_options){.stop_on_failure = stop_on_failure}), 0);
    return group;
}

mproc_process *add_member(mproc_group *group, mproc_target *fn, void *arg)
{
    mproc_process *process;
    assert_int_equal(mproc_group_start(group, &process, fn, arg, NULL), 0);
    return process;
}
