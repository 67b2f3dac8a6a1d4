/* What the tests of users' mistakes share: each makes a call that fails, and looks at what mproc_last_error() says. */
#ifndef TEST_UNIT_MISTAKES_H
#define TEST_UNIT_MISTAKES_H

#include <mproc.h>

#define WRONG_TIME MPROC_NS(-2)
#define SECONDS    MPROC_SEC(20)

/* The call has failed so, and says that. */
void says(int result, int expected, const char *sentence);

/* The same for one that returns NULL with errno. */
void says_null(const void *pointer, int expected, const char *sentence);

#endif
