# When several objects emit a function, the linker keeps one for the whole program. If that one was
# compiled for AVX-512, an older processor meets it at every call: an illegal instruction far from
# any dispatch. So the objects of the wider instruction sets may share only functions of their own
# namespace, and those of pymim that the baseline emits too, whose objects come first.
#   cmake -DNM=nm -DBASELINE=a.o,b.o -DWIDER=c.o,d.o -P weak_symbols.cmake

function(weak_functions objects result)
  string(REPLACE "," ";" objects "${objects}")
  execute_process(COMMAND ${NM} --demangle --defined-only ${objects}
    OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE ";" " " lines "${lines}")
  string(REGEX MATCHALL "[0-9a-f]+ W [^\n]+" lines "${lines}")
  list(TRANSFORM lines REPLACE "^[0-9a-f]+ W " "")
  list(REMOVE_DUPLICATES lines)
  set(${result} "${lines}" PARENT_SCOPE)
endfunction()

weak_functions("${BASELINE}" shared)
weak_functions("${WIDER}" found)
foreach(name IN LISTS found)
  string(REGEX MATCH "pymim::cpu::avx(2|512)::" own "${name}")
  string(REGEX MATCH "^[^(]*pymim::" ours "${name}")
  if(NOT own AND NOT (ours AND name IN_LIST shared))
    list(APPEND leaks "${name}")
  endif()
endforeach()
if(leaks)
  list(JOIN leaks "\n  " leaks)
  message(FATAL_ERROR
    "functions compiled for AVX2 or AVX-512 that the whole program would share:\n  ${leaks}\n"
    "Make them private to the file, or keep them from being emitted (inline, plain pointers).")
endif()
