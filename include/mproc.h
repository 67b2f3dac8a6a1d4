/* mproc: process-based parallelism for C on Linux. This header is the whole API in one include. */
#ifndef MPROC_H
#define MPROC_H

#include <mproc/base.h>
#include <mproc/connection.h>
#include <mproc/containers.h>
#include <mproc/listener.h>
#include <mproc/log.h>
#include <mproc/manager.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/postmortem.h>
#include <mproc/process.h>
#include <mproc/queue.h>
#include <mproc/shareable_list.h>
#include <mproc/shared_memory.h>
#include <mproc/sync.h>
#include <mproc/value.h>

#endif
