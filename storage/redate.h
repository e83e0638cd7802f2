#pragma once

#include "server/base/attributes.h"
#include "server/base/log.h"
#include "storage/catalogue.h"
#include "storage/volume.h"

/*
 * Recordings of before the clock was set (a machine without a clock chip that NTP has not reached
 * yet) get their true time once it is: another name, and other times in the catalogue; or
 * they are confirmed when the clock was right. Also those that an earlier process left, since the machine was
 * switched on.
 */
struct redate;

/* On that volume and those behind it. */
struct redate *redate_new(struct volume *volume, struct catalogue *catalogue) MUST_CHECK;
/* The clock is set: begins, and goes on until no such recording is left. */
void redate_start(struct redate *redate);
/* Before the volume and the catalogue are closed. NULL is fine. */
void redate_free(struct redate *redate);
