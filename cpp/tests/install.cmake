# Installs the build, builds examples/cpp against it as a stranger would, and runs the program.
#   cmake -DBUILD=dir -DSOURCE=examples/cpp -DWORK=dir -DGENERATOR=name -DCXX=compiler
#     -P install.cmake
file(REMOVE_RECURSE ${WORK})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/installed
  COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR}
  -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_PREFIX_PATH=${WORK}/installed COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${WORK}/build/masks OUTPUT_VARIABLE drawing COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "#" seen "${drawing}")
list(LENGTH seen count)
if(NOT count EQUAL 98)
  message(FATAL_ERROR "expected two masks of 49 visible patches, got:\n${drawing}")
endif()
message("${drawing}")
