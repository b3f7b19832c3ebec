"""The script by which Redis reserves slots: the arithmetic of :mod:`trading_platform.domain.rate_limits`, in Lua.

A limit of one key is a hash. The field ``limit`` identifies the limit and the key in JSON. The field ``book`` has the
reservations: the time of the last access, the level of the bucket and the time of that level, then time and weight of
each slot. Times are microseconds of Redis's clock. A hash expires when its content no longer has an effect.
"""

from __future__ import annotations

GIVE = """
local SECOND, EPSILON = 1000000, 1e-9

local function drain(book, level, elapsed)
    return math.max(0, level - math.max(0, elapsed) * book.per_second / SECOND)
end

-- Number of slots before a timestamp, and at it if it counts.
local function before(slots, timestamp, counts)
    local low, high = 1, #slots + 1
    while low < high do
        local middle = math.floor((low + high) / 2)
        local slot = slots[middle][1]
        if slot < timestamp or (counts and slot == timestamp) then low = middle + 1 else high = middle end
    end
    return low - 1
end

local function run(book, first, last)
    local level, at = book.level, book.at
    for i = first, last do
        local slot = book.slots[i]
        level, at = drain(book, level, slot[1] - at) + slot[2], slot[1]
    end
    return level, at
end

local function drop(book, count)
    local rest = {}
    for i = count + 1, #book.slots do rest[#rest + 1] = book.slots[i] end
    book.slots = rest
end

local function read(key, kind, first, second, weight, now)
    local numbers, slots = {}, {}
    local text = redis.call('HGET', key, 'book')
    if text then for number in string.gmatch(text, '%S+') do numbers[#numbers + 1] = tonumber(number) end end
    local seen, level, at = numbers[1] or now, numbers[2] or 0, numbers[3] or now
    local back = math.max(0, seen - now)  -- the clock was set back: shift the reservations by the same amount
    for i = 4, #numbers, 2 do slots[#slots + 1] = {numbers[i] - back, numbers[i + 1]} end
    local book = {key = key, weight = weight, level = level, at = at - back, slots = slots}
    if kind == 'rate' then
        book.per_second, book.burst = first, second
        local past = before(slots, now, true)
        level, at = run(book, 1, past)
        book.level, book.at = drain(book, level, now - at), now
        drop(book, past)
    else
        book.count, book.length = first, math.ceil(second * SECOND)
        drop(book, before(slots, now - book.length, true))
    end
    return book
end

local function in_bucket(book, timestamp)
    local level, at, passed = book.level, book.at, 0
    while true do
        while passed < #book.slots and book.slots[passed + 1][1] <= timestamp do
            passed = passed + 1
            local slot = book.slots[passed]
            level, at = drain(book, level, slot[1] - at) + slot[2], slot[1]
        end
        local here = drain(book, level, timestamp - at) + book.weight
        if here > book.burst + EPSILON then
            timestamp = timestamp + math.ceil((here - book.burst) / book.per_second * SECOND)
        else
            local fits, last = true, timestamp
            for i = passed + 1, #book.slots do
                local slot = book.slots[i]
                here, last = drain(book, here, slot[1] - last) + slot[2], slot[1]
                if here > book.burst + EPSILON then
                    timestamp, fits = slot[1], false
                    break
                end
            end
            if fits then return timestamp end
        end
    end
end

local function in_interval(book, timestamp)
    local slots, sums = book.slots, {[0] = 0}
    for i = 1, #slots do sums[i] = sums[i - 1] + slots[i][2] end
    local function full(start)
        return sums[before(slots, start + book.length)] - sums[before(slots, start)] + book.weight > book.count
    end
    local fits
    repeat
        fits = true
        for i = before(slots, timestamp - book.length, true) + 1, before(slots, timestamp) do
            if full(slots[i][1]) then
                timestamp, fits = slots[i][1] + book.length, false
                break
            end
        end
        if fits and full(timestamp) then
            timestamp, fits = slots[before(slots, timestamp) + 1][1] + book.length, false
        end
    until fits
    return timestamp
end

local function write(book, now, limit)
    local last
    if book.per_second then
        local level, at = run(book, 1, #book.slots)
        last = at + math.ceil(level / book.per_second * SECOND)
    else
        last = book.slots[#book.slots][1] + book.length
    end
    local numbers = {string.format('%.0f %.17g %.0f', now, book.level, book.at)}
    for i, slot in ipairs(book.slots) do numbers[i + 1] = string.format('%.0f %d', slot[1], slot[2]) end
    redis.call('HSET', book.key, 'limit', limit, 'book', table.concat(numbers, ' '))
    redis.call('PEXPIRE', book.key, math.ceil((last - now) / 1000) + 1000)
end

local time = redis.call('TIME')
local now = time[1] * SECOND + time[2]
local books = {}
for i, key in ipairs(KEYS) do
    local of = 5 * (i - 1)
    books[i] = read(key, ARGV[of + 1], tonumber(ARGV[of + 2]), tonumber(ARGV[of + 3]), tonumber(ARGV[of + 4]), now)
end
local timestamp, found = -1, now
while timestamp ~= found do
    timestamp = found
    for _, book in ipairs(books) do
        if book.per_second then found = in_bucket(book, found) else found = in_interval(book, found) end
    end
end
for i, book in ipairs(books) do
    table.insert(book.slots, before(book.slots, timestamp, true) + 1, {timestamp, book.weight})
    write(book, now, ARGV[5 * i])
end
return string.format('%.0f', timestamp - now)
"""
"""Reserves several costs together: KEYS are their hashes, ARGV has five values for each (kind, its two numbers, weight,
limit and key in JSON). Returns how many microseconds ahead the slot is."""
