-- Stands between the fence and every script of a stream. KEYS[1] is the stream.
--
-- Ids are 'millis-sequence', two 64-bit numbers that a Lua number does not hold: they stay text. Counts and
-- milliseconds of idle time are far below 2^53.

-- The reply where the judged thing is gone, not where the server has another reason: then its own error.
local function changed_or_error(answer, sign)
  if answer.err:find(sign, 1, true) then return CHANGED end
  return answer
end

-- -1, 0 or 1 for digits without leading zeros: the longer is the larger, then the text decides.
local function compare_digits(a, b)
  if #a ~= #b then return #a < #b and -1 or 1 end
  if a == b then return 0 end
  return a < b and -1 or 1
end

-- -1, 0 or 1.
local function compare_ids(a, b)
  local a_millis, a_sequence = a:match('^(%d+)%-(%d+)$')
  local b_millis, b_sequence = b:match('^(%d+)%-(%d+)$')
  local order = compare_digits(a_millis, b_millis)
  if order ~= 0 then return order end
  return compare_digits(a_sequence, b_sequence)
end

-- Names and values in turn, as XINFO lists them, as a table.
local function by_name(flat)
  local facts = {}
  for at = 1, #flat, 2 do facts[flat[at]] = flat[at + 1] end
  return facts
end

-- XINFO STREAM as a table, or nil and the reply that says why there is none.
local function stream_facts()
  local answer = redis.pcall('XINFO', 'STREAM', KEYS[1])
  if answer.err then return nil, changed_or_error(answer, 'no such key') end
  return by_name(answer), nil
end

-- The group as a table and how many others there are; or nil, nil and the reply that says why there is none.
local function group_facts(group)
  local answer = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  if answer.err then return nil, nil, changed_or_error(answer, 'no such key') end
  local own, others = nil, 0
  for _, flat in ipairs(answer) do
    local facts = by_name(flat)
    if facts.name == group then own = facts else others = others + 1 end
  end
  if not own then return nil, nil, CHANGED end
  return own, others, nil
end

-- Whether the group lists the consumer, and it did anything within so many milliseconds. Later
-- servers tell trying (idle) from getting (inactive; -1: never).
local function is_alive(group, consumer, within)
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
    local facts = by_name(flat)
    if facts.name == consumer then
      if facts.idle < within then return true end
      local inactive = facts.inactive
      return inactive ~= nil and inactive ~= -1 and inactive < within
    end
  end
  return false
end

-- Reads four of ARGV from `first` on: owner, deliveries, idle (milliseconds), and for how many milliseconds the owner must
-- have done nothing ('': it may be alive). Nil where the message is still as judged; else the reply.
local function not_held(group, id, first)
  local rows = redis.pcall('XPENDING', KEYS[1], group, id, id, 1)
  if rows.err then return changed_or_error(rows, 'NOGROUP') end
  local row = rows[1]
  -- A message that was handed back has no owner.
  if not row or (row[2] or '') ~= ARGV[first] then return CHANGED end
  if row[4] ~= tonumber(ARGV[first + 1]) then return CHANGED end
  -- Less idle than it was: it was delivered since, to the same owner again.
  if row[3] < tonumber(ARGV[first + 2]) then return CHANGED end
  if ARGV[first + 3] ~= '' and is_alive(group, ARGV[first], tonumber(ARGV[first + 3])) then
    return CHANGED
  end
  return nil
end

-- Nil where the entry holds exactly the fields and values that follow in ARGV from `first` on; else the reply.
local function not_as_judged(id, first)
  local row = redis.call('XRANGE', KEYS[1], id, id)[1]
  if not row then return CHANGED end
  local flat = row[2]
  if #flat ~= #ARGV - first + 1 then return CHANGED end
  for at = 1, #flat do
    if flat[at] ~= ARGV[first + at - 1] then return CHANGED end
  end
  return nil
end

-- Adds the fields that follow in ARGV from `first` on, and the marks, names and values in turn, which take the place
-- of older ones. The only step that may fail for memory, so it stands before what cannot.
local function add_marked(key, first, ...)
  local marks, is_mark, fields = {...}, {}, {}
  for at = 1, #marks, 2 do is_mark[marks[at]] = true end
  for at = first, #ARGV, 2 do
    if not is_mark[ARGV[at]] then
      fields[#fields + 1] = ARGV[at]
      fields[#fields + 1] = ARGV[at + 1]
    end
  end
  for at = 1, #marks do fields[#fields + 1] = marks[at] end
  redis.call('XADD', key, '*', unpack(fields))
end
