/* The progress of a map or an imap, as telling.h says. */
#include "pool/host/telling.h"

/* Between two reports, except before the last one: so there are never more than ten in a second. */
#define PAUSE OS_MS(112)

void telling_begin(struct telling *telling, telling_report *report, void *arg, const char *label, size_t total)
{
    *telling = (struct telling){.report = report, .arg = arg, .total = total, .at = OS_NEVER, .shows = label};
    if (report || label)
        telling->at = os_now() + PAUSE;
    if (label)
        progress_begin(&telling->line, label, total);
}

void telling_report_done(struct telling *telling, size_t done)
{
    if (!telling->report || done <= telling->told)
        return;
    telling->told = done;
    telling->report(telling->arg, done, telling->total);
}

void telling_go_on(struct telling *telling, size_t done, size_t failed)
{
    telling->at = os_now() + PAUSE;
    telling_report_done(telling, done);
    if (telling->shows)
        progress_show(&telling->line, done, failed);
}

void telling_end(struct telling *telling, size_t done, size_t failed, bool is_whole)
{
    telling->at = OS_NEVER;
    if (telling->shows)
        progress_end(&telling->line, done, failed, is_whole);
}
