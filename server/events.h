#pragma once

#include "server/cameras.h"
#include "storage/catalogue.h"

/*
 * What happens at the cameras, by whomever it is told (server/media/event.h): it is counted, written down, and has
 * the recorder record. What lasts does so until its end, or until nothing was said of it for the camera's
 * event_hold: some cameras forget to say that it is over.
 */
struct events;

/* Both outlive it. */
struct events *events_new(struct cameras *cameras, struct catalogue *catalogue);
/* What lasts ends now. NULL is fine. */
void events_free(struct events *events);
