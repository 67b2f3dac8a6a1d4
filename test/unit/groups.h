/* What the tests of groups share. Each fails the test when it fails. */
#ifndef TEST_UNIT_GROUPS_H
#define TEST_UNIT_GROUPS_H

#include <mproc/process.h>

mproc_group *make_group(bool stop_on_failure);
mproc_process *add_member(mproc_group *group, mproc_target *fn, void *arg);

#endif
